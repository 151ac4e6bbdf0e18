"""The compiler of an architecture, and the environment that makes builds repeatable."""

import functools
import platform

from harness import process
from harness.architectures import Architecture


@functools.cache
def toolchain(arch: Architecture) -> dict[str, str]:
    """What of the tools matters to a build: compiler and linker versions, and the machine they run on."""
    return {
        "compiler": process.output([f"{arch.cross_compile}gcc", "--version"]).splitlines()[0],
        "linker": process.output([f"{arch.cross_compile}ld", "--version"]).splitlines()[0],
        "host": platform.machine(),
    }


def environment(arch: Architecture) -> dict[str, str]:
    """Variables for make(1): architecture, compiler, and stamps that do not change from build to build."""
    return {
        "ARCH": arch.kernel,
        "CROSS_COMPILE": arch.cross_compile,
        "KBUILD_BUILD_TIMESTAMP": "1970-01-01",
        "KBUILD_BUILD_USER": "modcompat",
        "KBUILD_BUILD_HOST": "modcompat",
        "KBUILD_BUILD_VERSION": "1",
        "LC_ALL": "C",
    }
