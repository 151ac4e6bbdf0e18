# SPDX-License-Identifier: Apache-2.0
"""Runs the suite on a cluster: kernel builds are tasks, and so are the cells of a feature on an architecture."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli.cluster_runs import Parts, build_tasks, collect, named_files, require_same_files, resources_of
from harness.cli.merge_command import show_run
from harness.cli.run_suite import run_suite
from harness.lab.execution.run_folder import write_facts
from harness.lab.plan.cells import Cell, kernels_of
from harness.lab.plan.settings import Settings
from harness.lab.plan.shards import cells_of_shard, group_names
from harness.report.merge import copy_cells, joined
from harness.report.recorded_run import MATRIX, read_run
from harness.support.cluster.cluster import Cluster
from harness.support.cluster.cluster_task import ClusterTask
from harness.support.errors import ModcompatError

_WITH_VERDICTS = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)


def run_suite_on_cluster(
    address: str,
    words: Sequence[str],
    run: Path,
    *,
    settings: Settings,
    cells: Sequence[Cell],
    command: str,
    kernels_may_fail: bool,
) -> Path:
    """Run the cells of a plan on a cluster, and write the run folder. Returns the path of matrix.json.

    words: options of the suite. command: runs the cells again, for matrix.json. kernels_may_fail: a kernel that cannot
    be built makes its cells INVALID, and is not an error. Raises ModcompatError.
    """
    groups = group_names(cells)
    files = named_files(words)
    with Cluster(address) as cluster:
        parts = Parts(run, {"words": list(words), "parts": len(groups)})
        builds: dict[str, ClusterTask] = {}
        shards = []
        shared = cluster.shares_a_cache()
        for part in range(1, len(groups) + 1):
            mine = cells_of_shard(cells, (part, len(groups)))
            (name,) = group_names(mine)
            if parts.has(name):
                continue
            needed = build_tasks(kernels_of(mine), settings) if shared else []
            builds |= {task.name: task for task in needed}
            arguments = ([*words, f"--shard={part}/{len(groups)}"], files)
            after = frozenset(task.name for task in needed)
            resources = resources_of(settings, mine[0].board)
            shards.append(ClusterTask(name, judge_suite_shard, arguments, after, resources))
        # Shards first: they wait for their kernels, and then go before other kernels.
        collect(cluster, [*shards, *builds.values()], parts, may_fail=builds if kernels_may_fail else ())
    runs = [read_run(parts.path(name)) for name in groups if (parts.path(name) / MATRIX).is_file()]
    if not runs:
        raise ModcompatError("no cell is selected")
    # The command of a worker has its own paths.
    facts = joined([replace(part, facts=part.facts | {"command": command}) for part in runs])
    copy_cells([part.folder for part in runs], run)
    parts.remove()
    matrix = write_facts(facts, run)
    show_run(facts, matrix)
    return matrix


def judge_suite_shard(folder: Path, words: Sequence[str], files: Mapping[str, str]) -> str:
    """Run a shard of the suite on a worker; its run folder is `folder`. Returns its verdicts in words.

    files: that the words name, with their digests. Raises ModcompatError.
    """
    require_same_files(files)
    outcome = run_suite([f"--run-dir={folder}", *words])
    if outcome.error:
        raise outcome.error
    if outcome.status not in _WITH_VERDICTS:
        raise ModcompatError(f"pytest ended with status {outcome.status}")
    if not (folder / MATRIX).is_file():
        return "no cell is selected"
    verdicts = Counter(cell.verdict for cell in read_run(folder).cells)
    return ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
