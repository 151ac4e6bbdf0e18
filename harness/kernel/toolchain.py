"""The compiler of an architecture, and the environment that makes builds repeatable."""

import functools
import os
import platform

from harness import process
from harness.architectures import Architecture

# What a shell may have for another kernel's sake, and make(1) and Kbuild read (Documentation/kbuild/kbuild.rst).
_NOT_OURS = {
    "LOCALVERSION", "LLVM", "LLVM_IAS", "KCFLAGS", "KAFLAGS", "KCPPFLAGS", "KRUSTFLAGS", "CFLAGS_KERNEL",
    "AFLAGS_KERNEL", "CFLAGS_MODULE", "AFLAGS_MODULE", "LDFLAGS_MODULE", "HOSTCFLAGS", "HOSTLDFLAGS", "USERCFLAGS",
    "USERLDFLAGS", "MAKEFLAGS", "MFLAGS", "GNUMAKEFLAGS", "MAKEFILES", "MAKELEVEL", "SUBARCH", "CPATH",
    "C_INCLUDE_PATH", "SOURCE_DATE_EPOCH",
}  # fmt: skip
_NOR_ANY = ("KBUILD_", "KCONFIG_")


@functools.cache
def toolchain(arch: Architecture) -> dict[str, str]:
    """What of the tools matters to a build: compiler and linker versions, and the machine they run on."""
    return {
        "compiler": process.output([f"{arch.cross_compile}gcc", "--version"]).splitlines()[0],
        "linker": process.output([f"{arch.cross_compile}ld", "--version"]).splitlines()[0],
        "host": platform.machine(),
    }


def environment(arch: Architecture) -> dict[str, str]:
    """The environment for make(1): architecture, compiler, and stamps that do not change from build to build.

    Of the shell's, what would make another kernel of it is left out.
    """
    inherited = {
        name: value for name, value in os.environ.items() if name not in _NOT_OURS and not name.startswith(_NOR_ANY)
    }
    return inherited | {
        "ARCH": arch.kernel,
        "CROSS_COMPILE": arch.cross_compile,
        "KBUILD_BUILD_TIMESTAMP": "1970-01-01",
        "KBUILD_BUILD_USER": "modcompat",
        "KBUILD_BUILD_HOST": "modcompat",
        "KBUILD_BUILD_VERSION": "1",
        "LC_ALL": "C",
    }
