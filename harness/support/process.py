# SPDX-License-Identifier: Apache-2.0
"""Runs other programs. None of them outlives the harness, and an error has the end of the program's output."""

import contextlib
import ctypes
import errno
import os
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.support.errors import ModcompatError, ProgramFailedError

_SETPRIV = "setpriv"
# The harness, $0, may have died before setpriv asked for the signal.
_UNLESS_ORPHANED = '[ "$PPID" = "$0" ] || exit 1; '
_ALONE = 'exec "$@"'
# make(1) leaves its jobs behind when it is killed, so a supervising shell kills the whole process group.
_WITH_GROUP = 'trap "trap - TERM; kill -KILL 0" TERM INT HUP; "$@" & wait "$!"'

LAST_LINES = 25
_OWN_SECONDS = 1.0  # for a program to end after an interrupt that it got as well
_SHELL_SIGNAL = 128  # added to a signal in the exit status of a shell
_NO_SPACE = os.strerror(errno.ENOSPC)  # in what a program prints
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def dies_with_us(command: Sequence[str | Path]) -> list[str]:
    """A command whose program the kernel kills when the harness dies, even by SIGKILL.

    setpriv(1) sets prctl(2) PR_SET_PDEATHSIG. The signal is tied to the thread that starts the program, so start it
    from the main thread.
    """
    return _watched("KILL", _ALONE, command)


def _watched(signal_name: str, script: str, command: Sequence[str | Path]) -> list[str]:
    shell = ("/bin/sh", "-c", _UNLESS_ORPHANED + script, str(os.getpid()))
    return [_SETPRIV, "--pdeathsig", signal_name, "--", *shell, *map(str, command)]


def run(
    command: Sequence[str | Path],
    *,
    log: Path,
    what: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> None:
    """Run a program to its end. Its output is appended to `log` and passed line by line to `on_line`.

    what: the purpose, for error messages.
    env: the whole environment; None passes on the harness's own.
    Raises ModcompatError with the last lines of the output if the program fails or is missing.
    """
    words = [str(word) for word in command]
    last: deque[str] = deque(maxlen=LAST_LINES)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        sink.write(f"$ {' '.join(words)}\n".encode())
        process = subprocess.Popen(
            _watched("TERM", _WITH_GROUP, words),
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
        problem, next_step = f"{what} {_end(status)}", _remedy(status)
        if any(_NO_SPACE in line for line in last):
            problem = f"{what} failed: no space left on a disk"
            next_step = "free some; `modcompat cache prune` does so on the disk of the cache"
        raise ModcompatError(problem, details="\n".join(last), log=log, next_step=next_step)


def attached(command: Sequence[str | Path], *, cwd: Path | None = None) -> int:
    """Run a program on this terminal and return its exit status.

    The program handles Ctrl-C; if it then fails, KeyboardInterrupt is raised. It is killed if the harness dies. Without
    a terminal, an interrupt may be for the harness alone: it is passed on if the program does not end by itself.
    """
    interrupts: list[threading.Timer] = []

    def note(number: int, _: object) -> None:
        timer = threading.Timer(_OWN_SECONDS, lambda: running.send_signal(number))
        interrupts.append(timer)
        if not _has_terminal():
            timer.start()

    # Not SIG_IGN, which the program would inherit.
    before = signal.signal(signal.SIGINT, note)
    try:
        with subprocess.Popen(dies_with_us(command), cwd=cwd) as running:
            status = running.wait()
    finally:
        signal.signal(signal.SIGINT, before)
        for timer in interrupts:
            timer.cancel()
    if interrupts and status:
        raise KeyboardInterrupt
    return status


def _has_terminal() -> bool:
    """Whether there is a terminal whose Ctrl-C goes to all of its programs."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY))
    except OSError:
        return False
    return True


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that was started in its own session, and its process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def output(
    command: Sequence[str | Path],
    *,
    accepted: Sequence[int] = (0,),
    errors: bool = False,
    problem: str = "",
    env: Mapping[str, str] | None = None,
) -> str:
    """The output of a short-lived program.

    accepted: exit statuses that are not failures. env: the whole environment; None passes on the harness's own.
    errors: include standard error. problem: what a failure means. Raises ProgramFailedError if the program fails, and
    ModcompatError if it is missing or was ended by a signal.
    """
    words = [str(word) for word in command]
    for program in (words[0], _SETPRIV):
        if shutil.which(program) is None:
            raise ModcompatError(f"{program} is not installed", next_step="run `make setup`, or `modcompat doctor`")
    done = subprocess.run(dies_with_us(words), stdin=subprocess.DEVNULL, capture_output=True, check=False, env=env)
    printed = done.stdout + done.stderr
    if done.returncode not in accepted:
        ended = f"`{' '.join(words)}` {_end(done.returncode)}"
        details = printed.decode(errors="backslashreplace")[-2000:]
        if _signal(done.returncode):
            raise ModcompatError(ended, details=details, next_step=_remedy(done.returncode))
        raise ProgramFailedError(problem or ended, details=details)
    return (printed if errors else done.stdout).decode(errors="backslashreplace")


def _end(status: int) -> str:
    """How a program ended. status: as _signal() takes it."""
    return f"was ended by signal {_signal(status)}" if _signal(status) else f"failed with exit status {status}"


def _remedy(status: int) -> str:
    return "if the machine lacks memory, run fewer guests at a time (-n); then try again" if _signal(status) else ""


def _signal(status: int) -> int:
    """The signal that ended a program, 0 if none did. status: of the program, or of a shell that ran it."""
    number = -status if status < 0 else status - _SHELL_SIGNAL
    return number if number in set(signal.Signals) else 0


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent ends, prctl(2) PR_SET_PDEATHSIG. parent: its process ID."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call
        os._exit(1)
