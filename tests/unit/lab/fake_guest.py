# SPDX-License-Identifier: Apache-2.0
"""A guest without QEMU: a real console log, and answers chosen by the test. See harness.lab.execution.cell_guest."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from harness.guest.accesses import AccessLog
from harness.guest.backtrace import Symbols
from harness.guest.boards import BOARDS, Channel
from harness.guest.console import ConsoleLog
from harness.guest.guest import Timing
from harness.guest.machine import Machine
from harness.guest.shell import Output

Answer = str | tuple[str, int] | Callable[[], str]  # text, text and exit status, or a function that returns the text


class FakeGuest:
    """Prints what the test tells it to, and answers a command by the first key that occurs in it.

    `buffer` is the kernel's own log (dmesg), and `commands` lists the commands that were run.
    """

    def __init__(
        self, folder: Path, answers: Mapping[str, Answer] | None = None, *, shared_uart: bool = False, status: int = 0
    ) -> None:
        """Write the console log into `folder`. `status` is the exit status of commands whose answer has none."""
        board = BOARDS["x86_64-q35"]
        if shared_uart:
            board = replace(board, channel=Channel.SHARED)
        self.machine = Machine(board, Path("kernel"), Path("initramfs"))
        self.timing = Timing()
        self.console = ConsoleLog(folder / "console.log")
        self.symbols = Symbols((), 0)
        self.origin = "restored"
        self.restored_memory: dict[tuple[int, int], bytes] = {}
        self.accesses: AccessLog | None = None
        self.log_start = 0
        self.buffer = ""
        self.commands: list[str] = []
        self.posted: dict[str, bytes] = {}
        usual: dict[str, Answer] = {
            "dmesg | tail": lambda: self.buffer.splitlines()[-1], "dmesg": lambda: self.buffer,
        }  # fmt: skip
        self._answers = [*(answers or {}).items(), *usual.items()]
        self._status = status

    def make_pristine(self) -> None:
        self.log_start = self.console.size

    def access_log(self) -> AccessLog | None:
        return self.accesses

    def post(self, files: Mapping[str, bytes]) -> None:
        self.posted = dict(files)

    def print(self, text: str) -> None:
        """Let the kernel print something."""
        self.buffer += text
        self.print_to_console(text)

    def print_to_console(self, text: str) -> None:
        """Add text to the console alone: text from elsewhere, or a torn message of the kernel."""
        with self.console.path.open("a") as stream:
            stream.write(text)

    def mark(self, text: str) -> int:
        """Print a line and return the position after its text, like Guest.mark()."""
        self.print(f"[    1.000000] modcompat: {text}")
        position = self.console.size
        self.print("\n")
        return position

    def run(self, command: str, seconds: float | None = None, *, inside: bool = False) -> Output:
        """Answer a command. On a shared UART, the answer also appears on the console."""
        self.commands.append(command)
        answer = next((answer for key, answer in self._answers if key in command), "")
        text, status = answer if isinstance(answer, tuple) else (answer, self._status)
        text = text if isinstance(text, str) else text()
        if self.machine.shared_uart:
            self.print_to_console(f"{text}\n")
        return Output(command, status, text.encode(), 0.1)

    def read_memory(self, address: int, size: int, cpu: int) -> bytes:
        return bytes(size)
