# SPDX-License-Identifier: Apache-2.0
"""The machine that a guest runs on, and the QEMU command line for it."""

import functools
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.guest.accesses import AccessCheck
from harness.guest.boards import Board, Channel
from harness.guest.mailbox import Mailbox
from harness.support import process

BY_HAND = "mailbox"  # file for a guest that is started by hand, with the modules of its cell
# The kernel's parameters, Documentation/admin-guide/kernel-parameters.txt
PARAMETERS = (
    "ignore_loglevel",  # every message reaches the console, so that no report is filtered out
    "initcall_debug",  # logs that a module's init was called, and what it returned
    "panic=-1",  # a panic resets immediately, which QEMU reports
    "nokaslr no_hash_pointers",  # addresses that can be looked up in System.map
    "slub_debug=FZPU",  # slab checks, red zones, poison, last user; ignored if SLUB_DEBUG is off
    # An emulated CPU is slow: work that takes 10 ms on it hogs nothing. kernel/workqueue.c of 6.5; one second at most.
    "workqueue.cpu_intensive_thresh_us=1000000",
)
# Kernel watchdog timeouts, in seconds on a machine of ordinary speed. They are shorter than the harness's own timeouts,
# so that the kernel reports a stall first.
_CPU_STALL_SECONDS = 5
_HUNG_TASK_SECONDS = 10
_CODE_MIB = 256  # most that QEMU keeps of translated code; QEMU begins again when it is full


@dataclass(frozen=True)
class Machine:
    """A board with a kernel and a user space."""

    board: Board
    kernel: Path
    initramfs: Path
    device_tree: Path | None = None
    accelerator: str = "tcg"  # QEMU's name: tcg, kvm
    boot: str = ""  # further kernel parameters, which its feature needs
    userland: bool = False  # the initramfs contains a user-supplied root file system
    mailbox: int = 0  # bytes of the memory that files are posted to the guest through; 0: it has no such device
    accesses: AccessCheck | None = None  # check the loads and stores of modules
    keeper: Path | None = None  # plugin for restores that keep translated code (harness/guest/kept_code.py)
    scale: float = 1.0  # factor for timeouts on a slow host

    @property
    def parameters(self) -> str:
        """The kernel's command line."""
        channel = self.board.console.split(",")[0] if self.shared_uart else self.board.channel.tty
        slowness = max(self.scale, 1)
        cpu_stall = _CPU_STALL_SECONDS * self.board.arch.quirks.stall_factor
        words = (
            f"console={self.board.console}",
            *PARAMETERS,
            f"rcupdate.rcu_cpu_stall_timeout={round(cpu_stall * slowness)}",
            f"sysctl.kernel.hung_task_timeout_secs={round(_HUNG_TASK_SECONDS * slowness)}",
            self.board.boot,
            self.boot,
            f"modcompat_channel={channel}",
        )
        return " ".join(word for word in words if word)

    @property
    def shared_uart(self) -> bool:
        return self.board.channel is Channel.SHARED

    def options(self, *, boots: bool = True) -> list[str]:
        """QEMU's program and options, except those for the console and the channel.

        boots: False for a machine that a saved state is restored to, which holds its kernel. With a kernel of its own,
        each reset would write that to the guest's memory.
        """
        board = self.board
        threads = f",thread={board.arch.quirks.cpu_threads}" if self.accelerator == "tcg" else ""
        room = f",tb-size={_CODE_MIB}" if self.keeper else ""
        return [
            board.arch.qemu,
            "-M", board.machine,
            *(["-cpu", board.cpu] if board.cpu else []),
            "-accel", f"{self.accelerator}{threads}{room}",
            "-m", str(board.memory),
            "-smp", board.topology,
            "-nodefaults", "-no-user-config", "-display", "none", "-nic", "none",
            "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
            # A guest that resets itself is stopped instead, so that its state can be examined and nothing is lost.
            "-action", "reboot=shutdown,shutdown=pause",
            *board.options,
            *(self._boot_options() if boots else []),
        ]  # fmt: skip

    def _boot_options(self) -> list[str]:
        return [
            "-kernel", str(self.kernel),
            "-initrd", str(self.initramfs),
            *(["-dtb", str(self.device_tree)] if self.device_tree else []),
            "-append", self.parameters,
        ]  # fmt: skip

    def serial(self, console: Sequence[str], channel: Sequence[str]) -> list[str]:
        """Options that connect the kernel log to `console` and the commands to `channel` (chardevs without id).

        On a shared UART `channel` carries both, and `console` is not used.
        """
        if self.shared_uart:
            return ["-chardev", ",".join([channel[0], "id=channel", *channel[1:]]), "-serial", "chardev:channel"]
        options = [
            "-chardev", ",".join([console[0], "id=console", *console[1:]]), "-serial", "chardev:console",
            "-chardev", ",".join([channel[0], "id=channel", *channel[1:]]),
        ]  # fmt: skip
        if self.board.channel is Channel.PCI_8250:
            return [*options, "-device", "pci-serial,chardev=channel"]
        if self.board.channel is Channel.VIRTIO_CONSOLE:
            return [*options, "-device", "virtio-serial-device,max_ports=1", "-device", "virtconsole,chardev=channel"]
        return [*options, "-serial", "chardev:channel"]

    def by_hand(self) -> str:
        """A shell command that starts this guest with an interactive shell; `reboot -f` in it ends QEMU."""
        return shlex.join(self.interactive(Path("console-by-hand.log")))

    def post_by_hand(self, folder: Path, files: Mapping[str, Path]) -> None:
        """Write the mailbox of a guest that is started by hand with its kernel log in a folder; nothing without one.

        files: path in the guest -> file on the host. Raises ModcompatError if they do not fit.
        """
        if self.mailbox:
            mailbox = Mailbox(folder / BY_HAND, self.mailbox)
            mailbox.make()
            mailbox.post({path: file.read_bytes() for path, file in files.items()})

    def interactive(self, log: Path) -> list[str]:
        """The command line of by_hand() as a list. log: file for the kernel log."""
        options = self.options()
        options[options.index("-action") + 1] = "reboot=shutdown,shutdown=poweroff"
        options[options.index("-append") + 1] += " modcompat_shell=1"
        name = str(log).replace(",", ",,")
        mailbox = Mailbox(log.with_name(BY_HAND), self.mailbox).options() if self.mailbox else []
        return [*options, *self.serial(["file", f"path={name}"], ["stdio", "signal=off"]), *mailbox]

    def facts(self) -> dict[str, object]:
        """What is needed to start such a guest elsewhere."""
        return {
            "kernel": str(self.kernel),
            "initramfs": str(self.initramfs),
            "device_tree": str(self.device_tree) if self.device_tree else None,
            "parameters": self.parameters,
            "board": self.board.id,
            "machine": self.board.machine,
            "cpu": self.board.cpu,
            "memory": self.board.memory,
            "topology": self.board.topology,
            "options": list(self.board.options),
            "userland": self.userland,
            "mailbox": self.mailbox,
        }

    def identity(self) -> dict[str, object]:
        """Everything that a snapshot of this guest depends on; files by their names, which are content-addressed."""
        mailbox = Mailbox(Path("mailbox"), self.mailbox).options() if self.mailbox else []
        memory = self.accesses.memory_options("memory", self.board.memory) if self.accesses else []
        return {
            "options": [*self.options(), *self.serial(["file"], ["socket"]), *mailbox, *memory],
            "keeps code": self.keeper is not None,
            "qemu": qemu_version(self.board.arch.qemu),
        }


@functools.cache
def qemu_version(program: str) -> str:
    """The first line that `program --version` prints. Raises ModcompatError if the program cannot be run."""
    return process.output([program, "--version"]).splitlines()[0]
