# SPDX-License-Identifier: Apache-2.0
"""Running other programs so that none of them outlives us, and a failure says why."""

import contextlib
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.support.errors import ModcompatError

# prctl(2) PR_SET_PDEATHSIG through setpriv(1): the kernel kills the program when we die, even by SIGKILL.
# It is tied to the thread that started the program, so programs are started from the main thread.
DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")

# make(1) does not take its jobs with it, so a supervising shell ends the whole process group.
_GROUP_DIES_WITH_US = (
    "setpriv", "--pdeathsig", "TERM", "--",
    "sh", "-c", 'trap "trap - TERM; kill -KILL 0" TERM INT HUP; "$@" & wait "$!"', "sh",
)  # fmt: skip

LAST_LINES = 25


def run(
    command: Sequence[str | Path],
    *,
    log: Path,
    what: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> None:
    """Run a program to its end; its output goes to `log`, and line by line to `on_line`.

    env: all of its environment, ours where it is None.
    Raises ModcompatError with the last lines of the output when it fails or is missing.
    """
    words = [str(word) for word in command]
    last: deque[str] = deque(maxlen=LAST_LINES)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        sink.write(f"$ {' '.join(words)}\n".encode())
        process = subprocess.Popen(
            [*_GROUP_DIES_WITH_US, *words],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            for raw in process.stdout:
                sink.write(raw)
                line = raw.decode(errors="backslashreplace").rstrip("\n")
                last.append(line)
                if on_line:
                    on_line(line)
            status = process.wait()
        except BaseException:
            end_group(process)
            raise
        finally:
            process.stdout.close()
    if status:
        raise ModcompatError(
            f"{what} failed with exit status {status}",
            details="\n".join(last),
            log=log,
        )


def attached(command: Sequence[str | Path], *, cwd: Path | None = None) -> int:
    """Run a program on our terminal and give its exit status. A Ctrl-C is its to handle; it ends when we do.

    Raises KeyboardInterrupt once it has ended by that.
    """
    interrupts: list[int] = []
    # A handler, not SIG_IGN: the program would inherit that.
    before = signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
    try:
        status = subprocess.call([*DIES_WITH_US, *map(str, command)], cwd=cwd)
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupts and status:
        raise KeyboardInterrupt
    return status


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process started in a session of its own, and everything it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def output(command: Sequence[str | Path], *, accepted: Sequence[int] = (0,), errors: bool = False) -> str:
    """What a short-lived program prints; raises ModcompatError when it is missing or fails.

    accepted: exit statuses that are no failure. errors: with what it prints to standard error.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except FileNotFoundError:
        raise ModcompatError(
            f"{words[0]} is not installed", next_step="run `make setup`, or `modcompat doctor`"
        ) from None
    said = done.stdout + done.stderr
    if done.returncode not in accepted:
        raise ModcompatError(
            f"`{' '.join(words)}` failed with exit status {done.returncode}",
            details=said.decode(errors="backslashreplace")[-2000:],
        )
    return (said if errors else done.stdout).decode(errors="backslashreplace")
