# SPDX-License-Identifier: Apache-2.0
"""Plugins of QEMU, which see the guest's code when QEMU translates it. Their sources are in images/plugins."""

import functools
import platform
import shutil
from pathlib import Path

from harness.support import digest, process
from harness.support.cache.store import Store
from harness.support.paths import IMAGES

_FIRST_WITH_VERSION_2 = 9  # QEMU 9.0 refuses plugins for version 1 of the interface, and older ones those for version 2


def build_plugin(name: str, qemu: str, store: Store) -> Path:
    """A plugin, compiled for the host. Cached. qemu: the program's version. Raises ModcompatError."""
    folder = IMAGES / "plugins"
    files = [folder / f"{name}.c", folder / "qemu_plugin.h"]
    version = 2 if _major(qemu) >= _FIRST_WITH_VERSION_2 else 1
    inputs = {"version": version, "compiler": _compiler(), "host": platform.machine()}
    inputs |= {path.name: digest.of_file(path) for path in files}

    def build(made: Path) -> None:
        process.run(
            ["gcc", "-shared", "-fPIC", "-O2", "-Wall", f"-DQEMU_PLUGIN_VERSION={version}",
             "-o", made / f"{name}.so", files[0]],
            log=made / "log",
            what=f"compiling the plugin {name} of QEMU",
        )  # fmt: skip

    return store.get_or_build("tools", name, inputs, build) / f"{name}.so"


def can_have_plugins(qemu: str) -> bool:
    """Whether plugins can be built, and a QEMU takes them. Raises ModcompatError if it cannot be run."""
    return shutil.which("gcc") is not None and takes_plugins(qemu)


@functools.cache
def takes_plugins(qemu: str) -> bool:
    """Whether a QEMU was built with plugins. Raises ModcompatError if it cannot be run."""
    return "\n-plugin " in process.output([qemu, "-help"])


@functools.cache
def _compiler() -> str:
    return process.output(["gcc", "--version"]).splitlines()[0]


def _major(qemu: str) -> int:
    """The first number in the first line of `qemu --version`; 0 if there is none."""
    words = (word for word in qemu.split() if word[0].isdigit())
    return int(next(words, "0").split(".")[0])
