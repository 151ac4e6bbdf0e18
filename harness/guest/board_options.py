# SPDX-License-Identifier: Apache-2.0
"""What a board needs of a kernel's configuration, beside what its architecture needs."""

from collections.abc import Mapping

from harness.guest.boards import Board, Channel
from harness.kernel.required_options import Need

_FLATTENED_TREE = "the board's own device tree, and its clocks and system registers"
_OF_BOARD = {
    "arm-vexpress-a9": (Need("ARCH_VEXPRESS", _FLATTENED_TREE),),
    "arm-vexpress-a15": (Need("ARCH_VEXPRESS", _FLATTENED_TREE),),
}
# What a command channel of its own takes; without it, commands share the console's UART.
_CHANNEL: dict[Channel, dict[str, str | int]] = {
    Channel.UART_8250: {"SERIAL_8250_RUNTIME_UARTS": 2},
    Channel.UART_PL011: {},
    Channel.VIRTIO_CONSOLE: {"VIRTIO_MMIO": "y", "VIRTIO_CONSOLE": "y"},
    Channel.SHARED: {},
}


def missing_for(config: Mapping[str, str], board: Board) -> list[Need]:
    """What a board needs besides."""
    return [need for need in _OF_BOARD.get(board.id, ()) if not need.is_met(config)]


def lacks_channel(config: Mapping[str, str], board: Board) -> list[str]:
    """The options without which commands have to share the console's UART, empty where nothing is missing."""
    return [
        symbol
        for symbol, wanted in _CHANNEL[board.channel].items()
        if (not _at_least(config.get(symbol, ""), wanted) if isinstance(wanted, int) else config.get(symbol) != wanted)
    ]


def _at_least(value: str, number: int) -> bool:
    return value.isdecimal() and int(value) >= number
