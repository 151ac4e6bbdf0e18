# SPDX-License-Identifier: Apache-2.0
"""With MODULE_ABI_ISOLATION off, every function of a debug kernel is the same as without the series."""

import difflib
import filecmp
from dataclasses import replace
from pathlib import Path

import pytest

from harness.abi.elf.functions import FunctionBody, read_functions
from harness.kernel.arch import ARCHITECTURES
from harness.kernel.build import make
from harness.kernel.config import KernelSpec, resolve
from harness.kernel.features import FEATURES
from harness.kernel.isolation_patches import isolated
from harness.kernel.source import KernelSource, find_source
from harness.kernel.variants import Preemption, Variant, variant_of
from harness.kernel.versions import SERIES
from harness.support import process
from harness.support.cache.store import Store

STORE = Store()
SUPPORTED = [name for name, arch in ARCHITECTURES.items() if arch.has_isolation]
# Each function has a section of its own, so that its calls do not depend on the size of other functions. KASAN checks
# neither variables nor stacks, since its descriptions of them depend on the rest of the file.
_TARGETS = (
    "vmlinux_o",
    "KCFLAGS=-ffunction-sections -fdata-sections",
    "CFLAGS_KASAN=-fsanitize=kernel-address",
)
# Skipped: IKCONFIG; host programs, among them modpost, which the series changes; and objects linked from others
_OTHERS = ("kernel/configs.o", "scripts/", "tools/", "vmlinux", ".vmlinux", ".tmp_vmlinux")


def with_the_same_lines(before: str, now: str) -> tuple[str, str]:
    """Two versions of a source file, with lines inserted so that what they have in common has the same numbers.

    Lockdep's macros pass on __LINE__, which would differ in every function below a change.
    """
    versions = before.splitlines(), now.splitlines()
    padded: tuple[list[str], list[str]] = ([], [])
    for _, *bounds in difflib.SequenceMatcher(None, *versions).get_opcodes():
        ranges = bounds[:2], bounds[2:]
        length = max(end - start for start, end in ranges)
        for lines, (start, end), target in zip(versions, ranges, padded, strict=True):
            target.extend(lines[start:end])
            empty = "\\" if target and target[-1].endswith("\\") else ""  # a macro goes on
            target.extend([empty] * (length - (end - start)))
    first, second = ("\n".join(lines) + "\n" for lines in padded)
    return first, second


def aligned(upstream: Path, patched: Path, scratch: Path) -> tuple[Path, Path]:
    """Copies of two trees in which the code that they have in common has the same line numbers."""
    copies = scratch / "upstream", scratch / "patched"
    for tree, copy in zip((upstream, patched), copies, strict=True):
        process.output(["cp", "-a", "--link", tree, copy])
    for now in list(copies[1].rglob("*.[chS]")):
        before = copies[0] / now.relative_to(copies[1])
        if now.is_file() and before.is_file() and not filecmp.cmp(before, now, shallow=False):
            texts = with_the_same_lines(before.read_text("latin-1"), now.read_text("latin-1"))
            for path, text in zip((before, now), texts, strict=True):
                path.unlink()  # a link
                path.write_text(text, "latin-1")
    return copies


def objects(spec: KernelSpec, tree: Path, folder: Path) -> dict[str, Path]:
    """Name -> object file of each source file. tree: a copy of the tree of the specification, to be built instead."""
    folder.mkdir()
    config = resolve(spec, STORE)
    copied = replace(spec, source=KernelSource(folder.name, spec.source.identity, lambda: tree))
    steps = spec.arch.build_steps
    output = make(copied, config, _TARGETS, STORE, folder=folder, log=folder / "log", what=folder.name, steps=steps)
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


def debugging(name: str, preemption: Preemption) -> Variant:
    """A feature's stock variant, in which the series may have symbols of its own."""
    feature = FEATURES[name]
    own = {"NETDEV_NESTED_LEVEL": "net/Kconfig of the series: a member that LOCKDEP adds"}
    return variant_of(replace(feature, follows={**feature.follows, **own}), preemption)


@pytest.mark.parametrize("version", SERIES)
@pytest.mark.parametrize(
    "variant",
    [debugging("all", Preemption.NONE), debugging("distro", Preemption.FULL)],
    ids=lambda variant: variant.name,
)
@pytest.mark.parametrize("arch", SUPPORTED)
def test_every_function_is_as_it_was(arch: str, variant: Variant, version: str) -> None:
    source = find_source(SERIES[version].package, STORE)
    patched = isolated(source, STORE)
    with STORE.scratch() as scratch:
        trees = aligned(source.tree(), patched.tree(), scratch)
        before = objects(KernelSpec(ARCHITECTURES[arch], source, variant), trees[0], scratch / "without-the-series")
        now = objects(KernelSpec(ARCHITECTURES[arch], patched, variant), trees[1], scratch / "switched-off")
        assert len(before) > 500
        assert before.keys() == now.keys()
        changed = {name: differing(path, now[name]) for name, path in before.items()}
    assert {name: functions for name, functions in changed.items() if functions} == {}
