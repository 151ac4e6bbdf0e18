# SPDX-License-Identifier: Apache-2.0
"""QMP, QEMU's control protocol, for callers that do not use asyncio.

The client runs in the event loop of its own thread, so it receives events at any time and loses none.
"""

import asyncio
import contextlib
import itertools
import socket
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from qemu.qmp import ConnectError, ExecInterruptedError, QMPClient, QMPError
from qemu.qmp.qmp_client import ExecuteError

from harness.support.errors import GuestLostError

_T = TypeVar("_T")

Event = dict[str, Any]


class QmpRefusedError(Exception):
    """QEMU answered a command with an error."""


class QmpLostError(GuestLostError):
    """QEMU has ended, or it did not answer."""


class Qmp:
    """A QMP session over a connected socket."""

    def __init__(self, connection: socket.socket, *, timeout: float) -> None:
        """timeout: seconds within which QEMU must answer. Raises QmpLostError if it does not open the session."""
        self.events: list[Event] = []
        self._timeout = timeout
        self._client = QMPClient("modcompat")
        self._arrived = threading.Condition()
        self._jobs = itertools.count()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="qmp", daemon=True)
        self._thread.start()
        self._client.logger.disabled = True
        connection.setblocking(False)  # noqa: FBT003
        try:
            self._wait(self._client.connect(connection))
        except (ConnectError, QmpLostError):
            self._stop()
            raise QmpLostError("QEMU did not open its control channel") from None
        self._listener = asyncio.run_coroutine_threadsafe(self._listen(), self._loop)

    def command(self, name: str, **arguments: Any) -> Any:
        """Execute a command, with `_` for `-` in the names of arguments. Returns QEMU's answer.

        Raises QmpRefusedError if QEMU answers with an error, QmpLostError if it has ended or does not answer.
        """
        words = {key.replace("_", "-"): value for key, value in arguments.items()}
        try:
            return self._wait(self._client.execute(name, words or None))
        except ExecuteError as error:
            raise QmpRefusedError(f"{name}: {error}") from None
        except (ExecInterruptedError, QMPError, EOFError, OSError) as error:
            raise QmpLostError(f"{name}: {error}") from None

    def monitor(self, line: str) -> str:
        """The output of a command of the human monitor. Raises the errors of command()."""
        return str(self.command("human-monitor-command", command_line=line))

    def run_job(self, name: str, **arguments: Any) -> None:
        """Run a job command (snapshot-save, snapshot-load) to its end. Raises the errors of command()."""
        job = f"job{next(self._jobs)}"
        self.command(name, job_id=job, **arguments)

        def concluded(event: Event) -> bool:
            data = event.get("data", {})
            return (
                event.get("event") == "JOB_STATUS_CHANGE"
                and data.get("id") == job
                and data.get("status") == "concluded"
            )

        if not self.wait_for(concluded):
            raise QmpLostError(f"{name} did not end within {self._timeout:.0f} s")
        (state,) = [entry for entry in self.command("query-jobs") if entry["id"] == job]
        self.command("job-dismiss", id=job)
        if "error" in state:
            raise QmpRefusedError(f"{name}: {state['error']}")

    def forget_events(self) -> None:
        """Forget the events so far: the guest is about to become another one."""
        with self._arrived:
            self.events.clear()

    def wait_for(self, wanted: Any) -> bool:
        """Wait for an event; past events count. Returns False if there was none within the timeout."""
        with self._arrived:
            return self._arrived.wait_for(lambda: any(map(wanted, self.events)), self._timeout)

    def close(self) -> None:
        """End the session, whatever its state."""
        self._listener.cancel()
        with contextlib.suppress(QmpLostError, QMPError, EOFError, OSError):
            self._wait(self._client.disconnect())
        self._stop()

    async def _listen(self) -> None:
        with self._client.listener() as listener:
            async for event in listener:
                with self._arrived:
                    self.events.append(dict(event))
                    self._arrived.notify_all()

    def _wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(self._timeout)
        except TimeoutError:
            future.cancel()
            raise QmpLostError(f"no answer within {self._timeout:.0f} s") from None

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(self._timeout)
        if not self._thread.is_alive():
            self._loop.close()
