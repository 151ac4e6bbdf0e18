# SPDX-License-Identifier: Apache-2.0
"""Small static programs that run in the guest in addition to busybox."""

import shutil
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
            process.run(
                [f"{arch.cross_compile}gcc", "-static", "-O2", "-Wall", "-o", folder / source.stem, source],
                log=folder / "build.log",
                what=f"compiling {source.name} for {arch.name}",
            )
        shutil.move(folder / "build.log", folder / "log")

    folder = store.get_or_build("tools", arch.name, inputs, build)
    return {source.stem: folder / source.stem for source in sources}
