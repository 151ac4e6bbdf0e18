# SPDX-License-Identifier: Apache-2.0
"""The function that dask calls on a worker: runs a task in a process, and ends it when nobody wants it any more."""

import os
import pickle
import subprocess
import sys
import time
import zlib
from dataclasses import replace
from pathlib import Path

from harness.support import digest
from harness.support.cache.ownership import TAG
from harness.support.cache.sharing import URL_VARIABLE, configured
from harness.support.cache.store import Store
from harness.support.cluster.cluster_task import PackedTask, TaskResult
from harness.support.cluster.task_process import FILES, RESULT, TASK
from harness.support.errors import ModcompatError
from harness.support.process import end_group

_POLL_SECONDS = 0.2
_MAX_PRINTED = 20_000  # characters, the last ones


def run_task(task: PackedTask) -> TaskResult | None:
    """Run a task to its end. Returns None if it was cancelled."""
    started = time.monotonic()
    host = os.uname().nodename
    try:
        with Store().scratch() as folder:
            result = _run_in(folder, task)
    except ModcompatError as error:  # the worker's cache cannot be used
        result = TaskResult(error=error)
    except OSError as error:
        result = TaskResult(error=ModcompatError(f"{error.filename or 'the worker'}: {error.strerror or error}"))
    return result and replace(result, host=host, seconds=time.monotonic() - started)


def cache_identity() -> str:
    """A text that is the same on all workers that share a cache, by a remote or by a file system."""
    shared = configured()
    if shared and not shared.read_only:
        return os.environ[URL_VARIABLE]
    store = Store()
    with store.scratch():  # so that there is a cache
        tag = (store.root / TAG).stat()
    return f"{tag.st_ino} {tag.st_mtime_ns}"


def _run_in(folder: Path, task: PackedTask) -> TaskResult | None:
    (folder / TASK).write_bytes(pickle.dumps(task))
    printed = folder / "printed"
    with printed.open("wb") as output:
        # -P: Python must not import from the folder that the worker was started in.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "harness.support.cluster.task_process", folder, str(os.getpid())],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while process.poll() is None:
            if not _is_wanted():
                return None
            time.sleep(_POLL_SECONDS)
    finally:
        end_group(process)
    text = printed.read_text(errors="backslashreplace")[-_MAX_PRINTED:]
    try:
        result: TaskResult = pickle.loads((folder / RESULT).read_bytes())
    except (OSError, EOFError, pickle.UnpicklingError):
        return TaskResult(
            is_lost=True,
            error=ModcompatError(
                f"its process ended with status {process.returncode}",
                details=text[-2000:],
                next_step="is there enough memory on the worker?",
            ),
        )
    files = digest.files_below(folder / FILES)
    packed = {str(path.relative_to(folder / FILES)): zlib.compress(path.read_bytes()) for path in files}
    return replace(result, printed=text, files=packed)


def _is_wanted() -> bool:
    """Whether the command still waits for this task. dask cancels the tasks of a client that ended or was lost."""
    from distributed import get_worker  # noqa: PLC0415 - an installation without the extra has no dask

    worker = get_worker()
    state = worker.state.tasks.get(worker.get_current_task())
    return state is not None and state.state != "cancelled"
