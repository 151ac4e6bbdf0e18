# SPDX-License-Identifier: Apache-2.0
"""Patches whose absence shows neither in headers nor in options, but in a guest."""

from dataclasses import replace

import pytest

from harness.detect.verdict import Verdict
from harness.guest.boards import BOARDS
from harness.kernel.build import build_kernel
from harness.kernel.config import KernelSpec
from harness.kernel.features import FEATURES
from harness.kernel.isolation_patches import isolated_without, series_for
from harness.kernel.prebuilt import find_prebuilt
from harness.kernel.source import DEFAULT_PACKAGE, find_source
from harness.kernel.variants import Variant, variant_of
from harness.lab.execution.lab import Lab
from harness.lab.plan.cells import Cell, Flavour
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import shipped
from harness.lab.validation.bug_runner import commit, insmod, prepared
from harness.lab.validation.bugs import BUGS, Where
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError

STORE = Store()
BOARD = BOARDS["x86_64-q35"]


def without(subject: str, variant: Variant, package: str = DEFAULT_PACKAGE) -> Settings:
    """Settings for a run on a kernel that lacks a patch. `subject` is the end of the patch's file name."""
    source = find_source(package, STORE)
    (patch,) = (patch for patch in series_for(source) if patch.stem.endswith(subject))
    kernel = build_kernel(KernelSpec(BOARD.arch, isolated_without(source, patch, STORE), variant), STORE)
    prebuilt = find_prebuilt(variant, kernel.image, build_tree=kernel.build_tree)
    return Settings(source=package, prebuilt={(BOARD.arch.name, variant.name): prebuilt})


def test_what_the_kernel_keeps_behind_a_small_struct_module_is_a_modules_own() -> None:
    """Nine of the vendor modules survive, because they do not use that memory again. This one has pointers there."""
    everything = FEATURES["all"]
    settings = without("Load-modules-that-have-a-smaller-struct-modul", variant_of(everything, isolated=True))
    (module,) = (module for module in shipped() if module.name == "bookkeeping")
    with Lab(settings, [module]) as lab:
        result = lab.run(Cell(BOARD, everything, Flavour.ISOLATED, module))
    assert result.verdict is Verdict.SPLAT, result.reason


def test_no_kprobe_event_can_be_had_in_a_module() -> None:
    variant = variant_of(FEATURES["all"], isolated=True)
    (bug,) = (bug for bug in BUGS if bug.id == "watched/kprobe")
    with prepared(BOARD, variant, without("Allow-events-in-modules-without-ftra", variant)) as guests:
        guest = guests.guest(BOARD, variant)
        assert commit(guest, bug, Where.REBUILT)
        assert not commit(guest, bug, Where.VENDOR)


def test_kasan_does_not_see_what_memcpy_does_for_a_module() -> None:
    """In 6.1, memcpy() itself checks, whoever calls it."""
    (bug,) = (bug for bug in BUGS if bug.id == "memory/memcpy-behind")
    variant = bug.variant(Where.VENDOR)
    lacking = without("Let-modules-without-KASAN-call-memory-functi", variant, "linux-source-6.12")
    for settings, seen in ((replace(lacking, prebuilt={}), True), (lacking, False)):
        with prepared(BOARD, variant, settings) as guests:
            assert bool(commit(guests.guest(BOARD, variant), bug, Where.VENDOR)) is seen


def test_debug_objects_do_not_compile() -> None:
    with pytest.raises(ModcompatError) as caught:
        without("Tell-which-modules-were-built-without-isolat", variant_of(FEATURES["objects"], isolated=True))
    assert "module_abi" in caught.value.details


def test_no_bug_with_locks_is_reported_beside_a_proprietary_module() -> None:
    variant = variant_of(FEATURES["all"], isolated=True)
    (bug,) = (bug for bug in BUGS if bug.id == "spinlocks/already-unlocked")
    settings = without("Keep-lock-debugging-on-beside-proprietary-mod", variant)
    with prepared(BOARD, variant, settings) as guests:
        guest = guests.guest(BOARD, variant)
        assert commit(guest, bug, Where.REBUILT)
        assert not commit(guest, replace(bug, before=insmod(Where.VENDOR, "proprietary")), Where.REBUILT)
