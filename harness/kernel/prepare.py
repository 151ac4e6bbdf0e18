# SPDX-License-Identifier: Apache-2.0
"""A build tree that modules can be compiled against, without building the kernel."""

from pathlib import Path

from harness.kernel.build import find_kernel, keep_build_tree, kernel_inputs, make
from harness.kernel.config import KernelSpec
from harness.support.cache.store import Store


def build_tree(spec: KernelSpec, store: Store) -> Path:
    """The build tree of a kernel: from the cached build if there is one, otherwise from `make modules_prepare`."""
    kernel = find_kernel(spec, store)
    if kernel:
        return kernel.build_tree
    inputs = kernel_inputs(spec, store)

    def build(folder: Path) -> None:
        what = f"preparing the {spec.title} for modules"
        log = folder / "prepare.log"
        output = make(spec, inputs["config"], ["modules_prepare"], store, folder=folder, log=log, what=what, steps=60)
        keep_build_tree(output, folder / "build", spec.arch)

    return store.get_or_build("prepared", spec.label, inputs, build) / "build"
