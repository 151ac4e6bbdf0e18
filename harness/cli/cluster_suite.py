# SPDX-License-Identifier: Apache-2.0
"""Runs the suite on a cluster: kernel builds are tasks, and so are the cells of a feature on an architecture."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli.cluster_runs import Parts, build_tasks, collect, require_same_files, resources_of
from harness.cli.run_suite import run_suite
from harness.cli.show_results import show_run
from harness.lab.execution.run_folder import write_facts
from harness.lab.plan.cells import Cell, kernels_of
from harness.lab.plan.settings import Settings
from harness.lab.plan.shards import cells_of_shard, group_names
from harness.report.merge import copy_cells, joined
from harness.report.recorded_run import MATRIX, read_run
from harness.support.cluster.cluster import Cluster
from harness.support.cluster.cluster_task import ClusterTask, code_digest
from harness.support.errors import ModcompatError

_STATUS = "pytest-status"  # a file of each part


def run_suite_on_cluster(
    address: str,
    words: Sequence[str],
    run: Path,
    *,
    settings: Settings,
    cells: Sequence[Cell],
    selected: Collection[str] | None,
    files: Mapping[str, str],
    command: str,
    kernels_may_fail: bool,
) -> tuple[int, Path]:
    """Run the cells of a plan on a cluster, and write the run folder. Returns pytest's status, and matrix.json.

    words: options of the suite. selected: names of the cells that these select; None: all. files: that the run reads,
    with their digests. command: runs the cells again, for matrix.json. kernels_may_fail: a kernel that cannot be built
    makes its cells INVALID, and is not an error. Raises ModcompatError.
    """
    groups = group_names(cells)
    names, builds, shards = [], dict[str, ClusterTask](), []
    with Cluster(address) as cluster:
        parts = Parts(run, {"words": list(words), "parts": len(groups), "files": dict(files), "code": code_digest()})
        # Production as it ships is in the cache, at a path that a worker's settings may not have.
        builds_first = cluster.shares_a_cache() and not settings.shipped
        for part in range(1, len(groups) + 1):
            mine = cells_of_shard(cells, (part, len(groups)))
            wanted = [cell for cell in mine if selected is None or cell.id in selected]
            if not wanted:
                continue
            (name,) = group_names(mine)
            names.append(name)
            if parts.has(name):
                continue
            needed = build_tasks(kernels_of(wanted), settings, files) if builds_first else []
            builds |= {task.name: task for task in needed}
            arguments = ([*words, f"--shard={part}/{len(groups)}"], files)
            after = frozenset(task.name for task in needed)
            shards.append(ClusterTask(name, judge_suite_shard, arguments, after, resources_of(settings, mine[0].board)))
        # Shards first: they wait for their kernels, and then go before other kernels.
        collect(cluster, [*shards, *builds.values()], parts, may_fail=builds if kernels_may_fail else ())
    runs = [read_run(parts.path(name)) for name in names]
    # The command of a worker has its own paths.
    facts = joined([replace(part, facts=part.facts | {"command": command}) for part in runs])
    copy_cells([part.folder for part in runs], run)
    matrix = write_facts(facts, run)
    status = max(int((part.folder / _STATUS).read_text()) for part in runs)
    parts.remove()
    show_run(facts, matrix)
    return status, matrix


def judge_suite_shard(folder: Path, words: Sequence[str], files: Mapping[str, str]) -> str:
    """Run a shard of the suite on a worker; its run folder is `folder`. Returns its verdicts in words.

    files: as above. Raises ModcompatError if it has no verdicts.
    """
    require_same_files(files)
    outcome = run_suite([f"--run-dir={folder}", *words])
    if outcome.error:
        raise outcome.error
    if outcome.status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or not (folder / MATRIX).is_file():
        raise ModcompatError(f"it gave no verdicts, and pytest ended with status {outcome.status}")
    (folder / _STATUS).write_text(str(int(outcome.status)))
    verdicts = Counter(cell.verdict for cell in read_run(folder).cells)
    return ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
