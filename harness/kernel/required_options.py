# SPDX-License-Identifier: Apache-2.0
"""Kconfig options that the harness needs: to boot a kernel on a board, and to observe a module.

An architecture and a board list their own (harness/kernel/arch, harness/guest/boards.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class RequiredOption:
    """An option that must have a value."""

    symbol: str
    # what fails without it
    why: str
    value: str = "y"
    # options of which any one is enough instead
    alternatives: tuple[str, ...] = ()
    # options that are switched on with it if it is added to a configuration
    implies: tuple[str, ...] = ()
    # it matters to the build of a kernel or to the harness's own modules, and changes nothing that modules see
    build_only: bool = False

    def is_met(self, config: Mapping[str, str]) -> bool:
        absent = self.value if self.value.startswith('"') else "n"
        return any(config.get(name, absent) == self.value for name in (self.symbol, *self.alternatives))

    @property
    def additions(self) -> dict[str, str]:
        """The symbols that meet it, with their values."""
        return {self.symbol: self.value, **dict.fromkeys(self.implies, "y")}

    def __str__(self) -> str:
        line = f"# CONFIG_{self.symbol} is not set" if self.value == "n" else f"CONFIG_{self.symbol}={self.value}"
        return f"{line}: {self.why}"


# On every architecture
EVERYWHERE = (
    RequiredOption("MODULES", "modules are loaded"),
    RequiredOption("MODULE_UNLOAD", "a module's exit must run"),
    RequiredOption("SMP", "guests have two CPUs, to show races between them"),
    RequiredOption("PRINTK", "the kernel log is the evidence"),
    RequiredOption("BUG", "without it BUG() and WARN() print nothing"),
    RequiredOption("KALLSYMS", "the kernel names the module whose init it calls"),
    RequiredOption("TTY", "console and commands go over serial ports"),
    RequiredOption("BLK_DEV_INITRD", "the guest's user space is an initramfs"),
    RequiredOption("BINFMT_ELF", "the guest runs busybox"),
    RequiredOption("BINFMT_SCRIPT", "the guest's init is a script"),
    RequiredOption("PROC_FS", "/proc/modules shows whether a module is loaded"),
    RequiredOption("SYSFS", "parameters, probes and slab checks are below /sys"),
    RequiredOption("DEVTMPFS", "the command channel is a device node"),
    RequiredOption(
        "MODULE_SIG_FORCE", "the modules that prove a feature live are not signed", value="n", build_only=True
    ),
    RequiredOption(
        "TRIM_UNUSED_KSYMS", "modules that are not part of the kernel need its symbols", value="n", build_only=True
    ),
    RequiredOption(
        "SYSTEM_TRUSTED_KEYS", "the kernel's build would look for a file of keys", value='""', build_only=True
    ),
    RequiredOption(
        "SYSTEM_REVOCATION_KEYS", "the kernel's build would look for a file of keys", value='""', build_only=True
    ),
    RequiredOption(
        "MODULE_SIG_KEY", "the kernel's build would look for a key", value='"certs/signing_key.pem"', build_only=True
    ),
)
# The serial port of ARM boards
PL011 = (
    RequiredOption("SERIAL_AMBA_PL011", "the board's serial port", implies=("SERIAL_AMBA_PL011_CONSOLE",)),
    RequiredOption("SERIAL_AMBA_PL011_CONSOLE", "the kernel log goes to the serial port"),
)


def missing(config: Mapping[str, str], options: Iterable[RequiredOption]) -> list[RequiredOption]:
    """The options that a configuration does not meet: of those that are required everywhere, and of further ones."""
    return unmet(config, (*EVERYWHERE, *options))


def unmet(config: Mapping[str, str], options: Iterable[RequiredOption]) -> list[RequiredOption]:
    """The options that a configuration does not meet."""
    return [option for option in options if not option.is_met(config)]


def additions(options: Iterable[RequiredOption]) -> dict[str, str]:
    """The symbols that meet options, with their values."""
    return {symbol: value for option in options for symbol, value in option.additions.items()}


def listed(options: Iterable[RequiredOption]) -> str:
    """The options with their reasons, a line each."""
    return "\n".join(str(option) for option in options)
