# SPDX-License-Identifier: Apache-2.0
"""Runs a sweep on a cluster: kernel builds are tasks, and so are shards of about a hundred modules."""

from dataclasses import asdict, replace
from pathlib import Path

from harness.cli.cluster_runs import Parts, collect, resources_of
from harness.lab.execution.run_folder import write_facts
from harness.lab.sweep.sweep_plan import SweepPlan, SweepRequest
from harness.lab.sweep.sweep_results import RESULTS
from harness.lab.sweep.sweep_shard import build_for_sweep, judge_shard, shard_count
from harness.report.merge import copy_cells, merged_sweeps
from harness.report.sweep import read_sweep
from harness.support.cluster.cluster import Cluster
from harness.support.cluster.cluster_task import ClusterTask, code_digest


def sweep_on_cluster(address: str, request: SweepRequest, plan: SweepPlan, run: Path, command: str) -> Path:
    """Judge the modules of a plan on a cluster. Returns the path of sweep.json. Raises ModcompatError.

    command: the one that goes on with the sweep, for sweep.json.
    """
    count = shard_count(plan)
    names = [f"modules {part} of {count}" for part in range(1, count + 1)]
    production = plan.identity()
    with Cluster(address) as cluster:
        parts = Parts(run, {**asdict(request), "parts": count, "production": production, "code": code_digest()})
        builds = []
        if cluster.shares_a_cache():
            builds = [
                ClusterTask(f"kernel {variant.name}", build_for_sweep, (request, variant.name, production))
                for variant in plan.variants
            ]
        after = frozenset(task.name for task in builds)
        resources = resources_of(plan.settings, plan.board)
        shards = [
            ClusterTask(name, judge_shard, (replace(request, shard=(part, count)), production), after, resources)
            for part, name in enumerate(names, start=1)
            if not parts.has(name)
        ]
        collect(cluster, [*shards, *builds] if shards else [], parts)
    folders = [parts.path(name) for name in names]
    sweeps = [(folder, read_sweep(folder / RESULTS)) for folder in folders]
    facts = merged_sweeps(sweeps) if count > 1 else dict(sweeps[0][1].facts)
    copy_cells(folders, run)
    results = write_facts(facts | {"command": command}, run, RESULTS)
    parts.remove()
    return results
