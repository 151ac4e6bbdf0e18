# SPDX-License-Identifier: Apache-2.0
"""Tasks on the workers of a cluster, with workers in this process."""

import errno
import os
import signal
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from distributed import LocalCluster

from harness.cli.cluster_runs import Parts, collect, files_of, require_same_files
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import VendorModule, shipped
from harness.plugin.selection import SuitePlan
from harness.support import digest
from harness.support.cluster import cluster as cluster_module
from harness.support.cluster.cluster import Cluster
from harness.support.cluster.cluster_task import ClusterTask, TaskResult, in_folder
from harness.support.cluster.worker_task import cache_identity
from harness.support.errors import ModcompatError
from harness.support.paths import PROJECT


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODCOMPAT_CACHE", str(tmp_path_factory.mktemp("cache")))
        # The tasks are functions of this file, and modcompat is this one, whichever is installed.
        patch.setenv("PYTHONPATH", f"{Path(__file__).parent}{os.pathsep}{PROJECT}")
        local: Any = LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None, protocol="tcp://",
            resources={"lamp": 1},
        )  # fmt: skip
        with local:
            yield str(local.scheduler_address)


def write(folder: Path, text: str) -> str:
    (folder / "below").mkdir()
    (folder / "below/text").write_text(text)
    print(f"printed {text}")
    return text.upper()


def stamp(folder: Path, seconds: float) -> tuple[float, float]:
    del folder
    started = time.time()
    time.sleep(seconds)
    return started, time.time()


def meet(folder: Path, place: Path, mine: str, other: str) -> bool:
    """Whether another task runs at the same time."""
    del folder
    (place / mine).touch()
    until = time.monotonic() + 60
    while not (place / other).exists() and time.monotonic() < until:
        time.sleep(0.05)
    return (place / other).exists()


def die_once(folder: Path, place: Path) -> str:
    del folder
    if not (place / "died").exists():
        (place / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "lives"


def refuse(folder: Path) -> None:
    raise ModcompatError("no such thing", details="a detail", next_step="another one")


def fail(folder: Path) -> None:
    raise ZeroDivisionError


def fill_disk(folder: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def die(folder: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run(address: str, *tasks: ClusterTask) -> dict[str, TaskResult]:
    with Cluster(address) as cluster:
        return {task.name: result for task, result in cluster.run(tasks)}


def test_a_task_returns_its_value_its_files_and_what_it_printed(address: str) -> None:
    result = run(address, ClusterTask("a", write, ("x",)))["a"]
    assert (result.value, result.error, result.fault) == ("X", None, "")
    assert {name: zlib.decompress(content) for name, content in result.files.items()} == {"below/text": b"x"}
    assert "printed x" in result.printed
    assert result.host == os.uname().nodename


def test_errors_faults_and_deaths_are_told_apart(address: str) -> None:
    tasks = {"a": refuse, "b": fail, "c": die, "d": fill_disk}
    found = run(address, *(ClusterTask(name, work, ()) for name, work in tasks.items()))
    assert str(found["a"].error) == "no such thing\n  | a detail\n  next: another one"
    assert "ZeroDivisionError" in found["b"].fault
    assert found["c"].error is not None
    assert "status -9" in found["c"].error.problem
    assert found["d"].error is not None
    assert "No space left on device" in found["d"].error.problem


def test_a_task_waits_for_others(address: str) -> None:
    tasks = [ClusterTask("last", stamp, (0.0,), after=frozenset({"a", "b"}))]
    tasks += [ClusterTask(name, stamp, (0.2,)) for name in "ab"]
    found = {name: result.value for name, result in run(address, *tasks).items()}
    assert found["last"][0] >= max(found["a"][1], found["b"][1])


def test_two_workers_run_two_tasks_at_a_time(address: str, tmp_path: Path) -> None:
    tasks = [ClusterTask("a", meet, (tmp_path, "a", "b")), ClusterTask("b", meet, (tmp_path, "b", "a"))]
    assert [result.value for result in run(address, *tasks).values()] == [True, True]


def test_a_task_whose_process_was_killed_runs_again(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(address, ClusterTask("a", die_once, (tmp_path,)))["a"].value == "lives"
    assert "the process of a ended on " in capsys.readouterr().err


def test_a_resource_that_no_worker_has_is_an_error_unless_none_declares_it(address: str) -> None:
    assert run(address, ClusterTask("a", stamp, (0.0,), resources={"lamp": 1, "unknown": 7}))["a"].error is None
    with pytest.raises(ModcompatError, match="a needs 2 of lamp, and no worker has more than 1"):
        run(address, ClusterTask("a", stamp, (0.0,), resources={"lamp": 2}))


def test_other_code_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = ClusterTask("a", write, ("x",)).packed()
    monkeypatch.setattr(ClusterTask, "packed", lambda _: replace(packed, code="other"))
    error = run(address, ClusterTask("a", write, ("x",)))["a"].error
    assert error is not None
    assert "differs from that of the command" in error.problem


def test_a_task_ends_when_its_command_does(address: str) -> None:
    with Cluster(address) as cluster:
        results = cluster.run([ClusterTask("short", stamp, (0.0,)), ClusterTask("long", stamp, (60.0,))])
        next(results)
        results.close()  # type: ignore[attr-defined]
    started = time.monotonic()
    found = run(address, ClusterTask("a", stamp, (0.0,)), ClusterTask("b", stamp, (1.0,)))
    assert len(found) == 2
    assert time.monotonic() - started < 30


def test_workers_that_share_a_cache_or_a_remote_are_known(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Cluster(address) as cluster:
        assert cluster.shares_a_cache()
    own = cache_identity()
    monkeypatch.setenv("MODCOMPAT_CACHE_REMOTE", "s3://bucket")
    assert own != cache_identity() == "s3://bucket"
    monkeypatch.setenv("MODCOMPAT_CACHE_REMOTE_READONLY", "1")
    assert cache_identity() == own, "nobody sends what others wait for"


@pytest.mark.parametrize("where", ["tcp://127.0.0.1:1", "nonsense", "xyz://a:1", ""])
def test_an_address_without_a_scheduler_is_one_line(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "_CONNECT_SECONDS", 1.0)
    with pytest.raises(ModcompatError, match="no dask scheduler answers at") as caught:
        Cluster(where)
    assert "dask scheduler" in caught.value.next_step


def test_without_dask_the_next_step_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(cluster_module, "import_module", missing)
    with pytest.raises(ModcompatError) as caught:
        Cluster("tcp://a:1")
    assert "modcompat[cluster]" in caught.value.next_step


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "", "."])
def test_a_file_of_a_worker_stays_in_its_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModcompatError, match="a worker sent a file"):
        in_folder(name, tmp_path)


def test_parts_are_whole_and_are_not_mixed_with_those_of_another_run(tmp_path: Path) -> None:
    parts = Parts(tmp_path, {"words": ["a"]})
    with pytest.raises(ModcompatError):
        parts.add("x y", {"good": zlib.compress(b"1"), "../bad": zlib.compress(b"2")})
    assert not parts.has("x y")
    parts.add("x y", {"below/good": zlib.compress(b"1")})
    assert Parts(tmp_path, {"words": ["a"]}).has("x y")
    assert [path.name for path in parts.path("x y").rglob("*")] == ["below", "good"], "nothing of the failed attempt"
    assert (parts.path("x y") / "below/good").read_bytes() == b"1"
    with pytest.raises(ModcompatError, match="has a run that differs in "):
        Parts(tmp_path, {"words": ["b"]})
    parts.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_first_error_ends_a_run_unless_it_is_forgiven(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = [ClusterTask("bad", refuse, ()), ClusterTask("good", write, ("x",), after=frozenset({"bad"}))]
    with Cluster(address) as cluster:
        with pytest.raises(ModcompatError, match=r"bad on .*: no such thing"):
            collect(cluster, tasks)
        collect(cluster, tasks, may_fail={"bad"})
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            collect(cluster, [ClusterTask("worse", fail, ())])
    assert "2 of 2: good on " in capsys.readouterr().err


def test_the_estimate_is_about_what_waits_for_kernels_and_what_runs_at_a_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    builds = [ClusterTask(f"kernel {number}", write, ()) for number in range(2)]
    shards = [ClusterTask(f"shard {number}", write, (), after=frozenset({"kernel 1"})) for number in range(7)]
    ended = [builds[1], shards[0], builds[0], *shards[1:4]]
    result = TaskResult("host", seconds=600.0)
    cluster = Mock(**{"run.return_value": [(task, result) for task in ended], "thread_count.return_value": 4})
    collect(cluster, [*shards, *builds])
    left = [line.partition("about ")[2] for line in capsys.readouterr().err.splitlines()]
    # 6 shards with 4 at a time wait while a kernel is being built; then 5, 4 and 3
    assert left == ["", "", "900 s left", "750 s left", "600 s left", "600 s left"]


def test_files_of_the_command_must_be_on_the_worker(tmp_path: Path) -> None:
    module, folder = tmp_path / "vendor.ko", tmp_path / "linux"
    module.write_bytes(b"1")
    folder.mkdir()
    exercise = tmp_path / "vendor.py"
    exercise.write_text("x")
    plan = SuitePlan(Settings(), [VendorModule("vendor", file=module, exercise=exercise), *shipped()[:1]], [])
    files = files_of([f"--kernel-source={folder}", "--feature=perf", "--shared-uart", "-q"], plan)
    assert files == {str(file): digest.of_file(file) for file in (module, exercise)} | {str(folder): ""}
    require_same_files(files)
    module.write_bytes(b"2")
    with pytest.raises(ModcompatError, match="another file"):
        require_same_files(files)
    module.unlink()
    with pytest.raises(ModcompatError, match="is not there") as caught:
        require_same_files(files)
    assert "shared file system" in caught.value.next_step
