# SPDX-License-Identifier: Apache-2.0
"""Small static programs that run in the guest in addition to busybox."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from harness.kernel.arch import Architecture
from harness.kernel.toolchain import toolchain
from harness.support import digest, process
from harness.support.cache.store import Store
from harness.support.paths import IMAGES


def build_tools(arch: Architecture, store: Store) -> dict[str, Path]:
    """Every program of images/guest/tools, compiled statically for an architecture: name -> file. Cached."""
    sources = sorted((IMAGES / "guest/tools").glob("*.c"))
    inputs = {"toolchain": toolchain(arch), **{path.name: digest.of_file(path) for path in sources}}

    def build(folder: Path) -> None:
        for source in sources:
            _compile(arch, [source], folder / source.stem, folder)

    folder = store.get_or_build("tools", arch.name, inputs, build)
    return {source.stem: folder / source.stem for source in sources}


def build_agent(arch: Architecture, store: Store) -> Path:
    """The agent of images/guest/agent, compiled statically for an architecture. Cached."""
    files = sorted((IMAGES / "guest/agent").iterdir())
    inputs = {"toolchain": toolchain(arch), **{path.name: digest.of_file(path) for path in files}}

    def build(folder: Path) -> None:
        sources = [path for path in files if path.suffix == ".c"]
        _compile(arch, sources, folder / "agent", folder)

    return store.get_or_build("tools", f"agent-{arch.name}", inputs, build) / "agent"


def _compile(arch: Architecture, sources: Sequence[Path], program: Path, folder: Path) -> None:
    """Compile a program, and log that in a folder. Raises ModcompatError."""
    process.run(
        [f"{arch.cross_compile}gcc", "-static", "-O2", "-Wall", "-o", program, *sources],
        log=folder / "build.log",
        what=f"compiling {program.name} for {arch.name}",
    )
    shutil.move(folder / "build.log", folder / "log")
