# SPDX-License-Identifier: Apache-2.0
"""Runs on a cluster: the shards of a plan are tasks for its workers, and their run folders become one."""

import shutil
import statistics
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from harness.guest.boards import Board
from harness.kernel.source import is_package
from harness.kernel.variants import Variant
from harness.lab.execution.guest_pool import usual_memory
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from harness.plugin.selection import SuitePlan
from harness.support import digest
from harness.support.cluster.cluster import Cluster
from harness.support.cluster.cluster_task import ClusterTask, in_folder
from harness.support.errors import ModcompatError
from harness.support.progress import say
from harness.support.run_plan import note_plan

CLUSTER = click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Run on the workers of a dask cluster: the address of its scheduler, such as tcp://build:8786.",
)
_PARTS = "parts"  # the folder of a run in which each part that is there has one, until they are merged


class Parts:
    """The parts of a run that workers have sent. They survive an interruption."""

    def __init__(self, run: Path, plan: Mapping[str, Any]) -> None:
        """plan: what the parts depend on. Raises ModcompatError if the folder has the parts of another run."""
        self.folder = run / _PARTS
        self.folder.mkdir(exist_ok=True)
        note_plan(self.folder, plan, "a run")

    def has(self, name: str) -> bool:
        return self.path(name).is_dir()

    def path(self, name: str) -> Path:
        return self.folder / name.replace(" ", "-")

    def add(self, name: str, files: Mapping[str, bytes]) -> None:
        """Write the files of a part, all or none."""
        partial = self.folder / f".{self.path(name).name}.{digest.of_bytes(name.encode())[:8]}"
        shutil.rmtree(partial, ignore_errors=True)  # of an attempt that was interrupted
        for path, content in files.items():
            file = in_folder(path, partial)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(zlib.decompress(content))
        partial.mkdir(exist_ok=True)
        partial.rename(self.path(name))

    def count(self) -> int:
        return sum(path.is_dir() for path in self.folder.glob("[!.]*"))

    def remove(self) -> None:
        """Remove the parts, which are merged. An interrupt leaves all of them or none."""
        merged = self.folder.with_name(f".{_PARTS}-merged")
        shutil.rmtree(merged, ignore_errors=True)
        self.folder.rename(merged)
        shutil.rmtree(merged)


def require_alone() -> None:
    """Raise ModcompatError if the command has options that exclude --cluster."""
    context = click.get_current_context()
    for name, option in (("shard", "--shard"), ("workers", "-n"), ("core_dump", "--core-dump")):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise ModcompatError(f"--cluster and {option} exclude each other", next_step="leave out one of them")


def collect(
    cluster: Cluster, tasks: Sequence[ClusterTask], parts: Parts | None = None, *, may_fail: Iterable[str] = ()
) -> None:
    """Run tasks, print a line for each that ends, and keep their files as parts of a run.

    may_fail: names of tasks whose errors are printed only. Raises ModcompatError for the first other task that fails.
    """
    try:
        _collect(cluster, tasks, parts, set(may_fail))
    except BaseException:
        if parts and (count := parts.count()):
            say(f"{count} parts are done; the same command goes on with `--run-dir {parts.folder.parent}`")
        raise


def _collect(cluster: Cluster, tasks: Sequence[ClusterTask], parts: Parts | None, forgiven: set[str]) -> None:
    # Kernels may be cached: the estimate is about what waits for them, if anything does, once they are there.
    timed = [task for task in tasks if task.after] or list(tasks)
    seconds: list[float] = []  # of those that have ended
    for count, (task, result) in enumerate(cluster.run(tasks), start=1):
        if result.fault:
            raise RuntimeError(f"{task.name} on {result.host}: {result.fault}")
        if result.error and task.name not in forgiven:
            raise ModcompatError(
                f"{task.name} on {result.host}: {result.error.problem}",
                details=result.error.details or result.printed[-2000:],
                next_step=result.error.next_step,
            )
        if parts and result.files:
            parts.add(task.name, result.files)
        if task in timed:
            seconds.append(result.seconds)
        more = len(timed) - len(seconds)
        left = 0.0
        if more and seconds and len(tasks) - count == more:
            left = statistics.mean(seconds) * more / min(more, max(1, cluster.thread_count()))
        found = result.error.problem if result.error else result.value or "done"
        ahead = f"; about {left:.0f} s left" if left else ""
        say(f"{count} of {len(tasks)}: {task.name} on {result.host}: {found} ({result.seconds:.0f} s){ahead}")


def require_same_files(files: Mapping[str, str]) -> None:
    """Raise ModcompatError unless files are what they are on the machine of the command: path -> digest, "" for any."""
    for name, content in files.items():
        path = Path(name)
        if not path.exists():
            problem = f"{name} is not there"
        elif content and (not path.is_file() or digest.of_file(path) != content):
            problem = f"{name} is another file than on the machine of the command"
        else:
            continue
        raise ModcompatError(
            problem, next_step="all machines of a cluster need a run's files at the same path: use a shared file system"
        )


def files_of(words: Iterable[str], plan: SuitePlan, manifest: Path | None = None) -> dict[str, str]:
    """The files that a run reads, with their digests, and its folders, with "".

    words: options of the suite, --NAME=PATH among them.
    """
    found = [path for word in words if (path := Path(word.partition("=")[2])).is_absolute()]
    for module in plan.modules:
        if not module.is_builtin:
            own = (module.file, module.exercise, *module.needs)
            found += [*filter(None, own), *(file for _, file in (*module.firmware, *module.programs))]
    return files_in(plan.settings, [*found, *filter(None, [manifest])])


def files_in(settings: Settings, others: Iterable[Path] = ()) -> dict[str, str]:
    """The files that settings name, with their digests, and the folders, with "". others: further ones."""
    found = [
        *others,
        *settings.patches,
        *(config.path for config in settings.configs.values() if not config.shipped),
        *(kernel.image for kernel in settings.prebuilt.values() if not kernel.config.shipped),
        *([] if is_package(settings.source) else [Path(settings.source)]),
    ]
    return {str(path.absolute()): digest.of_file(path) if path.is_file() else "" for path in found if path.exists()}


def resources_of(settings: Settings, board: Board) -> dict[str, float]:
    """What a guest takes of dask's resources: its architecture, KVM and memory in MiB."""
    kvm = {"KVM": 1.0} if settings.accelerator == "kvm" else {}
    memory = usual_memory(settings, board, has_kasan=True)  # at most
    return {board.arch.name: 1.0, "MEMORY": float(memory), **kvm}


def build_on_worker(folder: Path, settings: Settings, board: Board, variant: Variant, files: Mapping[str, str]) -> str:
    """Build a kernel into the cache of a worker. Returns the place of it. Raises ModcompatError."""
    del folder
    require_same_files(files)
    return str(Kernels(settings).kernel(board, variant).folder)


def build_tasks(
    wanted: Iterable[tuple[Board, Variant]], settings: Settings, files: Mapping[str, str]
) -> list[ClusterTask]:
    """A task for each kernel. files: that the settings name, with their digests."""
    return [
        ClusterTask(f"kernel {board.arch.name} {variant.name}", build_on_worker, (settings, board, variant, files))
        for board, variant in wanted
    ]
