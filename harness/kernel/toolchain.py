# SPDX-License-Identifier: Apache-2.0
"""The compiler of an architecture, and the environment that makes builds repeatable."""

import functools
import os
import platform
import shutil
from pathlib import Path

from harness.kernel.arch import Architecture
from harness.support import process

# Variables that make(1) and Kbuild read, and that a shell may set for another kernel (Documentation/kbuild/kbuild.rst).
_IGNORED_VARIABLES = {
    "LOCALVERSION", "LLVM", "LLVM_IAS", "KCFLAGS", "KAFLAGS", "KCPPFLAGS", "KRUSTFLAGS", "CFLAGS_KERNEL",
    "AFLAGS_KERNEL", "CFLAGS_MODULE", "AFLAGS_MODULE", "LDFLAGS_MODULE", "HOSTCFLAGS", "HOSTLDFLAGS", "USERCFLAGS",
    "USERLDFLAGS", "MAKEFLAGS", "MFLAGS", "GNUMAKEFLAGS", "MAKEFILES", "MAKELEVEL", "SUBARCH", "CPATH",
    "C_INCLUDE_PATH", "SOURCE_DATE_EPOCH",
}  # fmt: skip
_IGNORED_PREFIXES = ("KBUILD_", "KCONFIG_")

# Programs that Kconfig and the build run (Linux 6.1 and 6.12: init/Kconfig, scripts/Kconfig.include, Makefile)
_CROSS_TOOLS = {"compiler": "gcc", "linker": "ld", "assembler": "as", "nm": "nm", "objcopy": "objcopy"}
_HOST_TOOLS = {"host compiler": "gcc", "host C++ compiler": "g++"} | {
    name: name for name in ("pahole", "rustc", "bindgen")
}


@functools.cache
def toolchain(arch: Architecture) -> dict[str, str]:
    """The host's tools that influence a configuration or a build: tool -> version, empty if absent.

    Kconfig runs these tools and sets symbols by their answers (PAHOLE_VERSION, RUST_IS_AVAILABLE, GCC_PLUGINS), so
    they are part of the identity of every configuration and kernel. Raises ModcompatError without a compiler.
    """
    cross = {name: f"{arch.cross_compile}{tool}" for name, tool in _CROSS_TOOLS.items()}
    plugins = process.output([cross["compiler"], "-print-file-name=plugin"]).strip()
    return {
        **{name: _version(tool) for name, tool in (cross | _HOST_TOOLS).items()},
        "compiler plugins": "yes" if Path(plugins, "include/plugin-version.h").is_file() else "",
        "host": platform.machine(),
    }


def _version(tool: str) -> str:
    """The first line that `tool --version` prints; empty if there is no such program, or it does not work."""
    if not shutil.which(tool):
        return ""
    lines = process.output([tool, "--version"], accepted=range(256)).splitlines()
    return lines[0] if lines else ""


def environment(arch: Architecture) -> dict[str, str]:
    """The environment for make(1): architecture, compiler, and stamps that do not change from build to build.

    It inherits the caller's environment, minus variables that would change the kernel being built.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in _IGNORED_VARIABLES and not name.startswith(_IGNORED_PREFIXES)
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
