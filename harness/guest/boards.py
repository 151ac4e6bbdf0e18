# SPDX-License-Identifier: Apache-2.0
"""The emulated boards. Adding one is adding an entry."""

from dataclasses import dataclass
from enum import Enum

from harness.kernel.arch import ARM, ARM64, X86_64, Architecture


class Channel(Enum):
    """How commands reach the guest. value: the guest's tty."""

    UART_8250 = "ttyS1"
    UART_PL011 = "ttyAMA1"
    VIRTIO_CONSOLE = "hvc0"
    SHARED = "console"  # the console's own UART: for kernels that have nothing else; weaker evidence


@dataclass(frozen=True)
class Board:
    """An emulated machine. Its name is QEMU's name of the machine (`-M`); with the architecture it is unique.

    cpu: QEMU's name (`-cpu`; empty: the machine's own). tweak: further properties of the machine.
    topology: `-smp` of 2 CPUs. console: the guest's tty of the kernel log, on the first serial port.
    device_tree: file built with the kernel, where QEMU does not make one. memory: MiB.
    boot: further kernel parameters. options: further QEMU options.
    """

    name: str
    arch: Architecture
    console: str
    channel: Channel
    cpu: str = ""
    tweak: str = ""
    topology: str = "2"
    memory: int = 128
    device_tree: str = ""
    boot: str = ""
    options: tuple[str, ...] = ()

    @property
    def machine(self) -> str:
        """What `-M` takes."""
        return f"{self.name},{self.tweak}" if self.tweak else self.name

    @property
    def id(self) -> str:
        return f"{self.arch.name}-{self.name}"


# The MP table that firmware writes where there is no ACPI lists packages, not cores.
_TWO_PACKAGES = "2,sockets=2,cores=1,threads=1"
# A kernel in the secure world cannot be restored: QEMU (7.2) does not save the secure banks of the MMU's
# registers, and the guest comes back in an endless prefetch abort.
_NORMAL_WORLD = "secure=off"
# Sound hardware of the board that nobody listens to; without this QEMU searches the host for speakers.
_NO_SOUND = ("-audiodev", "none,id=silence")

BOARDS = {
    board.id: board
    for board in (
        Board(
            name="q35",
            arch=X86_64,
            console="ttyS0,115200",
            channel=Channel.UART_8250,
            topology=_TWO_PACKAGES,
        ),
        Board(
            name="pc",
            arch=X86_64,
            console="ttyS0,115200",
            channel=Channel.UART_8250,
            topology=_TWO_PACKAGES,
        ),
        Board(
            name="virt",
            arch=ARM,
            cpu="cortex-a15",
            console="ttyAMA0",
            channel=Channel.VIRTIO_CONSOLE,
        ),
        Board(
            name="vexpress-a9",
            arch=ARM,
            console="ttyAMA0",
            channel=Channel.UART_PL011,
            tweak=_NORMAL_WORLD,
            device_tree="vexpress-v2p-ca9.dtb",
            boot="nr_cpus=2",  # its device tree lists four, and the kernel would wait for the others
            options=_NO_SOUND,
        ),
        Board(
            name="vexpress-a15",
            arch=ARM,
            console="ttyAMA0",
            channel=Channel.UART_PL011,
            tweak=_NORMAL_WORLD,
            device_tree="vexpress-v2p-ca15-tc1.dtb",
            options=_NO_SOUND,
        ),
        Board(
            name="virt",
            arch=ARM64,
            cpu="cortex-a57",
            console="ttyAMA0",
            channel=Channel.VIRTIO_CONSOLE,
        ),
    )
}
