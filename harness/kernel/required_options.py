# SPDX-License-Identifier: Apache-2.0
"""What the harness needs of a kernel's configuration: to boot it on a board, and to see what a module does."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.kernel.arch import ARM, ARM64, X86_64, Architecture


@dataclass(frozen=True)
class Need:
    """An option that has to have a value. or_else: options one of which does as well. why: what fails without it.

    with_it: further options that are switched on with it where it is added.
    """

    symbol: str
    why: str
    value: str = "y"
    or_else: tuple[str, ...] = ()
    with_it: tuple[str, ...] = ()

    def is_met(self, config: Mapping[str, str]) -> bool:
        absent = self.value if self.value.startswith('"') else "n"
        return any(config.get(name, absent) == self.value for name in (self.symbol, *self.or_else))

    @property
    def additions(self) -> dict[str, str]:
        """What meets it."""
        return {self.symbol: self.value, **dict.fromkeys(self.with_it, "y")}

    def __str__(self) -> str:
        line = f"# CONFIG_{self.symbol} is not set" if self.value == "n" else f"CONFIG_{self.symbol}={self.value}"
        return f"{line}: {self.why}"


_EVERYWHERE = (
    Need("MODULES", "modules are loaded"),
    Need("MODULE_UNLOAD", "a module's exit has to run"),
    Need("SMP", "guests have two CPUs, so that what CPUs do to each other is seen"),
    Need("PRINTK", "the kernel log is the evidence"),
    Need("BUG", "without it BUG() and WARN() say nothing"),
    Need("KALLSYMS", "the kernel names the module whose init it calls"),
    Need("TTY", "console and commands go over serial ports"),
    Need("BLK_DEV_INITRD", "the guest's user space is an initramfs"),
    Need("BINFMT_ELF", "the guest runs busybox"),
    Need("BINFMT_SCRIPT", "the guest's init is a script"),
    Need("PROC_FS", "/proc/modules tells whether a module is there"),
    Need("SYSFS", "parameters, probes and slab checks are below /sys"),
    Need("DEVTMPFS", "the command channel is a device node"),
    Need("MODULE_SIG_FORCE", "the modules that prove a feature live are not signed", value="n"),
    Need("TRIM_UNUSED_KSYMS", "modules that are not part of the kernel need its symbols", value="n"),
    Need("SYSTEM_TRUSTED_KEYS", "a file of keys that the kernel's build would look for", value='""'),
    Need("SYSTEM_REVOCATION_KEYS", "a file of keys that the kernel's build would look for", value='""'),
    Need("MODULE_SIG_KEY", "a key that the kernel's build would look for", value='"certs/signing_key.pem"'),
)
_PL011 = Need("SERIAL_AMBA_PL011", "the board's serial port", with_it=("SERIAL_AMBA_PL011_CONSOLE",))
_PL011_CONSOLE = Need("SERIAL_AMBA_PL011_CONSOLE", "the kernel log goes to the serial port")
_OF_ARCHITECTURE = {
    X86_64.name: (
        Need("SERIAL_8250", "the board's serial port"),
        Need("SERIAL_8250_CONSOLE", "the kernel log goes to the serial port"),
        Need("X86_MPPARSE", "the second CPU is found in a table of the firmware", or_else=("ACPI",)),
        Need("CMDLINE_OVERRIDE", "the kernel would not read the parameters that the harness gives it", value="n"),
    ),
    ARM.name: (
        _PL011,
        _PL011_CONSOLE,
        Need("ARM_GIC", "the board's interrupt controller", with_it=("ARCH_MULTI_V7", "ARCH_VIRT")),
        Need("ARM_PSCI", "the second CPU is started by the firmware's interface", with_it=("ARCH_VIRT",)),
        Need("AEABI", "the guest's programs are EABI programs"),
        Need("ARM_THUMB", "the guest's programs are Thumb code"),
        Need("VFP", "the guest's programs use the floating point registers", with_it=("NEON",)),
        Need("COMPAT_32BIT_TIME", "the guest's busybox has 32-bit time: without these calls even sleep fails"),
        Need("CMDLINE_FORCE", "the kernel would not read the parameters that the harness gives it", value="n"),
    ),
    ARM64.name: (
        _PL011,
        _PL011_CONSOLE,
        Need("CMDLINE_FORCE", "the kernel would not read the parameters that the harness gives it", value="n"),
    ),
}


def missing(config: Mapping[str, str], arch: Architecture) -> list[Need]:
    """What the harness needs on every board of an architecture, and a configuration does not have."""
    return [need for need in (*_EVERYWHERE, *_OF_ARCHITECTURE[arch.name]) if not need.is_met(config)]


def additions(needs: Iterable[Need]) -> dict[str, str]:
    """The options that meet needs."""
    return {symbol: value for need in needs for symbol, value in need.additions.items()}


def listed(needs: Iterable[Need]) -> str:
    return "\n".join(str(need) for need in needs)
