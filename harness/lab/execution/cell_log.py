# SPDX-License-Identifier: Apache-2.0
"""The kernel log of one cell, with marks where each phase begins.

The log is on two media. The console has everything that the kernel printed, as it came. On a board whose kernel log
and commands share one UART, lines on the console may be torn, and messages get lost between the answers of commands;
the kernel's own buffer (dmesg) has all of them, whole, up to the last time it was read.
"""

import re
import shutil
from dataclasses import dataclass, replace

from harness.detect.evidence import Phase
from harness.detect.kernel_report import Report
from harness.detect.kinds import Severity
from harness.detect.scan import scan
from harness.lab.execution.cell_guest import CellGuest

_DROPPED = re.compile(rb"\*\* \d+ printk messages dropped \*\*")  # kernel/printk/printk.c
_MIN_FREE_BYTES = 1 << 20  # on the disk that the log is written to
_MAX_BUFFER_READS = 3  # of a buffer that fills while it is read


class StopCell(Exception):  # noqa: N818 - not an error
    """The rest of the cell would prove nothing more."""

    def __init__(self, reason: str, *, blocker: str | None = None) -> None:
        """blocker: why the cell proves nothing at all; None if what was seen so far counts."""
        super().__init__(reason)
        self.blocker = blocker


@dataclass(frozen=True)
class ScannedLog:
    """The log of a cell, and the reports in it."""

    # from the begin mark on
    text: bytes
    # where each phase begins in the text
    starts: dict[Phase, int]
    # reports between the begin mark and the first phase
    early: list[Report]
    reports: dict[Phase, list[Report]]
    # the kernel's own message that it lost some
    dropped: str | None
    # the log has its end mark, and the kernel lost nothing
    is_whole: bool

    def by_phase(self) -> dict[Phase, bytes]:
        """The text of each phase that the cell got to."""
        ends = [*list(self.starts.values())[1:], len(self.text)]
        return {phase: self.text[start:end] for (phase, start), end in zip(self.starts.items(), ends, strict=False)}

    def since(self, phase: Phase) -> str:
        """The text from a phase on. Raises KeyError if the cell did not get there."""
        return self.text[self.starts[phase] :].decode(errors="backslashreplace")


class CellLog:
    """Writes marks into the log while the cell runs, watches it for faults, and scans it at the end."""

    def __init__(self, guest: CellGuest) -> None:
        self.phase = Phase.LOAD
        self._guest = guest
        self._starts: dict[Phase, int] = {}
        self._scanned_to = 0  # how far the console was searched for faults
        self._start_mark: str | None = None
        self._log_start: int | None = None  # of the cell, in the console
        self._log_end: int | None = None
        self._buffer = ""  # the kernel's own, as it was when it was last read
        self._dmesg_ranges: list[tuple[int, int]] = []  # parts of the console that only repeat the buffer
        self._left_out: list[tuple[int, int]] = []  # parts that answer the harness

    @property
    def has_started(self) -> bool:
        """Whether a phase has begun. From then on the module is responsible for whatever happens."""
        return bool(self._starts)

    def begin(self, title: str) -> None:
        """Mark the beginning of the cell in a pristine guest. Raises GuestFailure."""
        self._log_start = self._guest.mark(f"begin of {title}")
        self._start_mark = f"modcompat: begin of {title}"

    def enter(self, phase: Phase) -> None:
        """Mark the beginning of a phase; everything that was printed before belongs to the phase that ends.

        Raises StopCell if the kernel reported a fault meanwhile or the disk is full, GuestFailure.
        """
        position = self._guest.mark(phase)
        self._require_space()
        self.stop_on_fault()
        self.phase = phase
        self._starts[phase] = self._scanned_to = position

    def end(self, title: str) -> None:
        """Mark the end of the cell. Raises StopCell if the disk is full, GuestFailure."""
        self._log_end = self._guest.mark(f"end of {title}")
        self._require_space()

    def stop_on_fault(self) -> None:
        """Raise StopCell if the kernel has reported a fault since the phase began.

        After a fault the kernel's state is undefined, and every further command may only hang.
        """
        if not self._starts:
            return
        start = max([self._scanned_to, *(end for _, end in (*self._dmesg_ranges, *self._left_out))])
        reports = scan(self._guest.console.read(start))
        fault = next((report for report in reports if report.severity is Severity.FAULT), None)
        if fault:
            raise StopCell(f"stopped in the {self.phase}, after: {fault.words}")

    def leave_out(self, start: int, end: int) -> None:
        """Find no reports in a part of the console, between two positions: the harness asked for it."""
        self._left_out.append((start, end))

    def text(self) -> str:
        """The kernel log since the guest was pristine, complete when called. Raises StopCell, GuestFailure."""
        self._guest.mark("exercise")
        self.stop_on_fault()
        return self._read_dmesg() if self._guest.machine.shared_uart else self.printed()

    def printed(self) -> str:
        """The kernel log since the guest was pristine, as far as the console has it. Sends nothing to the guest."""
        return self._guest.console.read(self._guest.log_start).decode(errors="backslashreplace")

    def read_buffer(self) -> str | None:
        """Read the kernel's buffer for the last time. Does nothing unless the board has a shared UART.

        Reads it again if the kernel printed something meanwhile. Returns the reason why parts may be missing; None if
        the log is complete. Raises StopCell, GuestFailure.
        """
        if not self._guest.machine.shared_uart:
            return None
        for _ in range(_MAX_BUFFER_READS):
            last = self.text().strip().rpartition("\n")[2]
            if self._guest.run("dmesg | tail -n 1").text.strip() == last.strip():
                return None
        return "the kernel kept printing while its buffer was read: parts may be missing"

    def lack_of_space(self) -> str | None:
        """A blocker if the disk is full, since QEMU drops what it cannot write; None if there is space."""
        folder = self._guest.console.path.parent
        if shutil.disk_usage(folder).free >= _MIN_FREE_BYTES:
            return None
        return f"no space is left on the disk of {folder}: parts of the log may be lost"

    def scan(self) -> ScannedLog:
        """Find the reports of the whole cell, and assign each to its phase.

        `start` of a report is its place in the console log since the guest was pristine. Reports that only the
        kernel's buffer has, on a shared UART, have their place in the text.
        """
        buffered = self._buffered()
        text, starts = buffered or self._from_console()
        in_front = b""
        if not buffered and self._log_start is not None:
            in_front = self._guest.console.read(self._guest.log_start, self._log_start)
        early: list[Report] = []
        reports: dict[Phase, list[Report]] = {}
        for report in scan(text):
            phases = [phase for phase, start in starts.items() if start <= report.start]
            shifted = _shifted(report, len(in_front), in_front.count(b"\n"))
            if phases:
                reports.setdefault(phases[-1], []).append(shifted)
            elif self._log_start is not None:
                early.append(shifted)
        dropped = _DROPPED.search(text)
        return ScannedLog(
            text, starts, early, reports, dropped[0].decode() if dropped else None,
            is_whole=self._log_end is not None and not dropped,
        )  # fmt: skip

    def _require_space(self) -> None:
        if blocker := self.lack_of_space():
            raise StopCell(f"stopped in the {self.phase}, for lack of space on the disk", blocker=blocker)

    def _read_dmesg(self) -> str:
        """Read the kernel's buffer. The console repeats all of it, and the scan must not take that for reports."""
        start = self._guest.console.size
        self._buffer = self._guest.run("dmesg").text.replace("\r", "") + "\n"
        self._dmesg_ranges.append((start, self._guest.console.size))
        return self._buffer

    def _from_console(self) -> tuple[bytes, dict[Phase, int]]:
        """The log as the console has it, and where each phase begins in it."""
        start = self._guest.log_start if self._log_start is None else self._log_start
        log = self._guest.console.read(start, self._log_end)
        for begin, end in (*self._dmesg_ranges, *self._left_out):
            log = log[: begin - start] + b"\n" * (end - begin) + log[end - start :]
        return log, {phase: begin - start for phase, begin in self._starts.items()}

    def _buffered(self) -> tuple[bytes, dict[Phase, int]] | None:
        """The log as the kernel's buffer has it, followed by the rest of the console; None if it was never read."""
        begin = self._buffer.rfind(self._start_mark) if self._start_mark else -1
        if self._start_mark is None or begin < 0:
            return None
        log = self._buffer[begin + len(self._start_mark) :].encode()
        marks = {phase: log.find(f"modcompat: {phase}\n".encode()) for phase in self._starts}
        buffer_end = self._dmesg_ranges[-1][1]
        known = {phase: place for phase, place in marks.items() if place >= 0}
        later = {phase: len(log) + self._starts[phase] - buffer_end for phase, place in marks.items() if place < 0}
        return log + self._guest.console.read(buffer_end, self._log_end), known | later


def _shifted(report: Report, size: int, lines: int) -> Report:
    """The report, as found in a log with so many more bytes and lines in front."""
    return replace(
        report, start=report.start + size, first_line=report.first_line + lines, last_line=report.last_line + lines,
        children=[_shifted(child, size, lines) for child in report.children],
    )  # fmt: skip
