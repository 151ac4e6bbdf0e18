# SPDX-License-Identifier: Apache-2.0
"""With MODULE_ABI_ISOLATION off, every object of a debug kernel is the same as without the series."""

from pathlib import Path

import pytest

from harness.abi.elf.functions import FunctionBody, read_functions
from harness.kernel.arch import ARCHITECTURES
from harness.kernel.build import make
from harness.kernel.config import KernelSpec, resolve
from harness.kernel.features import FEATURES
from harness.kernel.isolation_patches import isolated
from harness.kernel.source import DEFAULT_PACKAGE, find_source
from harness.kernel.variants import variant_of
from harness.support.cache.store import Store

STORE = Store()
SUPPORTED = [name for name, arch in ARCHITECTURES.items() if arch.has_isolation]
# Skipped: IKCONFIG; host programs, among them modpost, which the series changes; and objects linked from others
_OTHERS = ("kernel/configs.o", "scripts/", "tools/", "vmlinux", ".vmlinux", ".tmp_vmlinux")


def objects(spec: KernelSpec, folder: Path) -> dict[str, Path]:
    """Name -> object file of each source file, in a kernel with all five features."""
    folder.mkdir()
    config = resolve(spec, STORE)
    steps = spec.arch.build_steps
    output = make(spec, config, ["vmlinux"], STORE, folder=folder, log=folder / "log", what=folder.name, steps=steps)
    found = {str(path.relative_to(output)): path for path in output.rglob("*.o")}
    return {name: path for name, path in found.items() if not name.startswith(_OTHERS)}


def differing(before: Path, now: Path) -> dict[str, tuple[FunctionBody | None, FunctionBody | None]]:
    if before.read_bytes() == now.read_bytes():
        return {}
    functions, others = read_functions(before), read_functions(now)
    return {
        name: (functions.get(name), others.get(name))
        for name in functions.keys() | others.keys()
        if functions.get(name) != others.get(name)
    }


@pytest.mark.parametrize("arch", SUPPORTED)
def test_every_function_is_as_it_was(arch: str) -> None:
    source, variant = find_source(DEFAULT_PACKAGE, STORE), variant_of(FEATURES["all"])
    with STORE.scratch() as scratch:
        plain = objects(KernelSpec(ARCHITECTURES[arch], source, variant), scratch / "upstream")
        patched = objects(KernelSpec(ARCHITECTURES[arch], isolated(source, STORE), variant), scratch / "switched-off")
        assert len(plain) > 500
        assert plain.keys() == patched.keys()
        changed = {name: differing(path, patched[name]) for name, path in plain.items()}
    assert {name: functions for name, functions in changed.items() if functions} == {}
