# SPDX-License-Identifier: Apache-2.0
"""The interface of a guest that a cell needs. tests/unit/lab/fake_guest.py implements it without QEMU."""

from collections.abc import Mapping
from typing import Protocol

from harness.guest.accesses import AccessLog
from harness.guest.backtrace import Symbols
from harness.guest.console import ConsoleLog
from harness.guest.guest import Timing
from harness.guest.machine import Machine
from harness.guest.shell import Output


class CellGuest(Protocol):
    """The part of harness.guest.guest.Guest that a cell uses; the methods are described there."""

    machine: Machine
    timing: Timing
    console: ConsoleLog
    symbols: Symbols
    origin: str
    restored_memory: dict[tuple[int, int], bytes]
    log_start: int

    def make_pristine(self) -> None: ...

    def run(self, command: str, seconds: float | None = None, *, inside: bool = False) -> Output: ...

    def post(self, files: Mapping[str, bytes]) -> None: ...

    def mark(self, text: str) -> int: ...

    def access_log(self) -> AccessLog | None: ...

    def read_memory(self, address: int, size: int, cpu: int) -> bytes: ...
