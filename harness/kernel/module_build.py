# SPDX-License-Identifier: Apache-2.0
"""Build a module for a kernel, once: a vendor module for production, a proof for its feature's kernel."""

import shutil
from pathlib import Path

from harness.kernel.build import Kernel, make_command
from harness.kernel.toolchain import environment
from harness.support import digest, process
from harness.support.cache.store import Store
from harness.support.paths import MODULES

_SHARED_HEADERS = MODULES / "include"  # headers that our modules share


def build_modules(source: Path, kernel: Kernel, store: Store) -> dict[str, Path]:
    """The modules of a folder with a Kbuild file, built for a kernel: module name -> .ko.

    Cached by sources and kernel, so that a module is never rebuilt for the same kernel. Raises ModcompatError with the
    compiler's last lines.
    """
    sources = {
        str(path.relative_to(source)): path
        for path in digest.files_below(source)
        if path.suffix in (".c", ".h") or path.name == "Kbuild"
    }
    sources |= {path.name: path for path in sorted(_SHARED_HEADERS.glob("*.h"))}
    inputs = {"kernel": kernel.key, "sources": {name: digest.of_file(path) for name, path in sources.items()}}

    def build(folder: Path) -> None:
        scratch = folder / "scratch"
        for name, path in sources.items():
            target = scratch / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        tree = kernel.user_tree
        make = ["make", "-C", tree] if tree else make_command(kernel.spec.source.tree(), kernel.build_tree)
        process.run(
            [*make, f"M={scratch}", "modules"],
            env=environment(kernel.arch),
            log=folder / "build.log",
            what=f"building module {source.name} for the {kernel.spec.title}",
        )
        for built in scratch.glob("*.ko"):
            shutil.copy(built, folder / built.name)
        shutil.rmtree(scratch)

    folder = store.get_or_build("module", f"{source.name}-{kernel.spec.label}", inputs, build)
    return {path.stem: path for path in sorted(folder.glob("*.ko"))}
