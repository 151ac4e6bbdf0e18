# SPDX-License-Identifier: Apache-2.0
"""Plugins of QEMU as libraries that tests call, with a stand-in for QEMU's side."""

import ctypes
import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness.support.paths import IMAGES
from tests.unit.tools import need

_PLUGINS = IMAGES / "plugins"


def build_library(name: str, fake: str, folder: Path) -> Path:
    """A plugin, with a file of this folder that stands in for QEMU. Skips the test without a compiler."""
    need("gcc")
    found = folder / f"{name}.so"
    sources = [_PLUGINS / f"{name}.c", Path(__file__).with_name(fake)]
    flags = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-DQEMU_PLUGIN_VERSION=1"]
    subprocess.run(["gcc", *flags, f"-I{_PLUGINS}", "-o", found, *sources], check=True)
    return found


def install(library: ctypes.CDLL, options: Sequence[str]) -> None:
    """Install a plugin as QEMU does. options: those for QEMU, of which the last one has the plugin's arguments."""
    words = options[-1].split(",")[1:]
    arguments = (ctypes.c_char_p * len(words))(*(word.encode() for word in words))
    assert library.qemu_plugin_install(ctypes.c_uint64(0), None, len(words), arguments) == 0
