# SPDX-License-Identifier: Apache-2.0
"""A guest without QEMU: a real console log, and answers that a test chooses. See harness.lab.execution.cell_guest."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from harness.guest.backtrace import Symbols
from harness.guest.boards import BOARDS, Channel
from harness.guest.console import ConsoleLog
from harness.guest.guest import Timing
from harness.guest.machine import Machine
from harness.guest.shell import Output

Answer = str | tuple[str, int] | Callable[[], str]  # text, text and exit status, or what gives the text


class FakeGuest:
    """Prints what a test lets it print, and answers commands by the first key that occurs in them.

    buffer: the kernel's own log (dmesg). commands: those that were run.
    """

    def __init__(
        self, folder: Path, answers: Mapping[str, Answer] | None = None, *, shared_uart: bool = False, status: int = 0
    ) -> None:
        """folder: for the console log. status: exit status of every command, unless its answer has one."""
        board = BOARDS["x86_64-q35"]
        if shared_uart:
            board = replace(board, channel=Channel.SHARED)
        self.machine = Machine(board, Path("kernel"), Path("initramfs"))
        self.timing = Timing()
        self.console = ConsoleLog(folder / "console.log")
        self.symbols = Symbols((), 0)
        self.origin = "restored"
        self.log_start = 0
        self.buffer = ""
        self.commands: list[str] = []
        usual: dict[str, Answer] = {
            "dmesg | tail": lambda: self.buffer.splitlines()[-1], "dmesg": lambda: self.buffer,
        }  # fmt: skip
        self._answers = [*(answers or {}).items(), *usual.items()]
        self._status = status

    def make_pristine(self) -> None:
        self.log_start = self.console.size

    def print(self, text: str) -> None:
        """The kernel prints something."""
        self.buffer += text
        self.print_to_console(text)

    def print_to_console(self, text: str) -> None:
        """The console has something that the kernel did not print, or has torn it."""
        with self.console.path.open("a") as stream:
            stream.write(text)

    def mark(self, text: str) -> int:
        """Prints the line; returns the position behind its text, as Guest.mark() does."""
        self.print(f"[    1.000000] modcompat: {text}")
        position = self.console.size
        self.print("\n")
        return position

    def run(self, command: str, seconds: float | None = None, *, inside: bool = False) -> Output:
        """On a shared UART, the console has the answer as well."""
        self.commands.append(command)
        answer = next((answer for key, answer in self._answers if key in command), "")
        text, status = answer if isinstance(answer, tuple) else (answer, self._status)
        text = text if isinstance(text, str) else text()
        if self.machine.shared_uart:
            self.print_to_console(f"{text}\n")
        return Output(command, status, text.encode(), 0.1)

    def read_memory(self, address: int, size: int, cpu: int) -> bytes:
        return bytes(size)
