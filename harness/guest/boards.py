# SPDX-License-Identifier: Apache-2.0
"""The emulated boards. To add one, add an entry."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from harness.kernel.arch import ARM, ARM64, RISCV64, X86_64, Architecture
from harness.kernel.required_options import RequiredOption


class Channel(Enum):
    """The channel for commands to the guest: its tty, and the Kconfig options that it needs.

    Without these options commands share the console's UART. A number is a minimum.
    """

    UART_8250 = "ttyS1", (("SERIAL_8250_RUNTIME_UARTS", 2),)
    UART_PL011 = "ttyAMA1", ()
    VIRTIO_CONSOLE = "hvc0", (("VIRTIO_MMIO", "y"), ("VIRTIO_CONSOLE", "y"))
    # a card on the PCI bus, for kernels that have virtio as modules
    PCI_8250 = "ttyS0", (("SERIAL_8250", "y"), ("SERIAL_8250_PCI", "y"), ("PCI_HOST_GENERIC", "y"))
    SHARED = "console", ()  # the console's UART, for kernels that have nothing else: weaker evidence

    def __init__(self, tty: str, options: tuple[tuple[str, str | int], ...]) -> None:
        self.tty = tty
        self.options = options

    def lacks(self, config: Mapping[str, str]) -> list[str]:
        """The options that a configuration does not meet."""
        return [symbol for symbol, wanted in self.options if not _meets(config.get(symbol, ""), wanted)]


def channel_for(board: "Board", config: Mapping[str, str]) -> Channel:
    """The best channel of a board that a kernel with this configuration has a driver for."""
    cards = [Channel.PCI_8250] if board.has_pci and not board.console.startswith(Channel.PCI_8250.tty) else []
    return next((channel for channel in (board.channel, *cards) if not channel.lacks(config)), Channel.SHARED)


def _meets(value: str, wanted: str | int) -> bool:
    if isinstance(wanted, int):
        return value.isdecimal() and int(value) >= wanted
    return value == wanted


@dataclass(frozen=True)
class Board:
    """An emulated machine."""

    # QEMU's name of the machine (`-M`), unique together with the architecture
    name: str
    arch: Architecture
    # the guest's tty of the kernel log, on the first serial port
    console: str
    channel: Channel
    # it represents its architecture if no board is chosen: one board of each architecture does
    is_default: bool = False
    # QEMU's name of the processor (`-cpu`), empty for the machine's own
    cpu: str = ""
    # further properties of the machine
    tweak: str = ""
    # `-smp` of two CPUs
    topology: str = "2"
    # MiB
    memory: int = 128
    # physical address at which its memory begins
    memory_start: int = 0
    # it has a PCI bus, which further devices can be put on
    has_pci: bool = False
    # further properties of the machine if devices are put on it
    pci_tweak: str = ""
    # file that is built with the kernel, for machines without a device tree from QEMU
    device_tree: str = ""
    # further kernel parameters
    boot: str = ""
    # further QEMU options
    options: tuple[str, ...] = ()
    # options that it needs in addition to those of its architecture
    required_options: tuple[RequiredOption, ...] = ()

    @property
    def machine(self) -> str:
        """The value of `-M`."""
        return f"{self.name},{self.tweak}" if self.tweak else self.name

    @property
    def id(self) -> str:
        return f"{self.arch.name}-{self.name}"


# Without ACPI the kernel reads the MP table of the firmware, which lists packages, not cores.
_TWO_PACKAGES = "2,sockets=2,cores=1,threads=1"
# A kernel in the secure world cannot be restored: QEMU (7.2) does not save the secure banks of the MMU's
# registers, and the guest comes back in an endless prefetch abort.
_NORMAL_WORLD = "secure=off"
# The board has sound hardware. Without this option QEMU searches the host for an audio device.
_NO_SOUND = ("-audiodev", "none,id=silence")
_VEXPRESS = (RequiredOption("ARCH_VEXPRESS", "the board's own device tree, and its clocks and system registers"),)

BOARDS = {
    board.id: board
    for board in (
        Board(
            name="q35",
            arch=X86_64,
            console="ttyS0,115200",
            channel=Channel.UART_8250,
            is_default=True,
            topology=_TWO_PACKAGES,
            has_pci=True,
        ),
        Board(
            name="pc",
            arch=X86_64,
            console="ttyS0,115200",
            channel=Channel.UART_8250,
            topology=_TWO_PACKAGES,
            has_pci=True,
        ),
        Board(
            name="virt",
            arch=ARM,
            cpu="cortex-a15",
            memory_start=0x40000000,
            console="ttyAMA0",
            channel=Channel.VIRTIO_CONSOLE,
            is_default=True,
            has_pci=True,
            # Without LPAE, the kernel cannot address the bus above 4 GB
            pci_tweak="highmem=off",
        ),
        Board(
            name="vexpress-a9",
            arch=ARM,
            memory_start=0x60000000,
            console="ttyAMA0",
            channel=Channel.UART_PL011,
            tweak=_NORMAL_WORLD,
            device_tree="vexpress-v2p-ca9.dtb",
            boot="nr_cpus=2",  # its device tree lists four, and the kernel would wait for the others
            options=_NO_SOUND,
            required_options=_VEXPRESS,
        ),
        Board(
            name="vexpress-a15",
            arch=ARM,
            memory_start=0x80000000,
            console="ttyAMA0",
            channel=Channel.UART_PL011,
            tweak=_NORMAL_WORLD,
            device_tree="vexpress-v2p-ca15-tc1.dtb",
            options=_NO_SOUND,
            required_options=_VEXPRESS,
        ),
        Board(
            name="virt",
            arch=ARM64,
            cpu="cortex-a57",
            memory_start=0x40000000,
            console="ttyAMA0",
            channel=Channel.VIRTIO_CONSOLE,
            is_default=True,
            has_pci=True,
        ),
        Board(
            name="virt",
            arch=RISCV64,
            memory_start=0x80000000,
            console="ttyS0",
            channel=Channel.VIRTIO_CONSOLE,
            is_default=True,
            has_pci=True,
        ),
    )
}


def default_board(arch: Architecture) -> Board:
    """The board that represents an architecture."""
    return next(board for board in BOARDS.values() if board.is_default and board.arch is arch)
