# SPDX-License-Identifier: Apache-2.0
"""The layout oracle on real kernels."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.abi.headers.layouts import kernel_layouts
from harness.kernel.arch import ARCHITECTURES
from harness.kernel.config import KernelSpec
from harness.kernel.module_headers import headers_of
from harness.kernel.prepare import build_tree
from harness.kernel.source import DEFAULT_PACKAGE, find_source
from harness.lab.plan.exercise import load_exercise
from harness.lab.plan.vendor_modules import shipped
from harness.support.cache.store import Store

LOCK = {"x86_64": (4, 24), "arm": (4, 16), "arm64": (4, 24), "riscv64": (4, 24)}


def difference(arch: str, before: str, after: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "harness", "layout", "diff", before, after, "--arch", arch, "--json"]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_debug_locks_grow_and_move_the_init_of_modules(arch: str) -> None:
    status, facts = difference(arch, "production", "stock-spinlock")
    lock, module = facts["changes"]["struct spinlock"], facts["changes"]["struct module"]
    assert status == 1
    assert (lock["before"]["size"], lock["after"]["size"]) == LOCK[arch]
    assert module["because"] == ["struct module", "struct mutex", "struct raw_spinlock"]
    assert facts["causes"]["struct raw_spinlock"][1].startswith("spinlock_t (struct spinlock) 4 → ")
    assert facts["compared"] > 6000
    assert facts["missing"] == []


def test_a_build_tree_is_compared_like_a_kernel_by_name(tmp_path: Path) -> None:
    store = Store()
    spec = KernelSpec(ARCHITECTURES["arm"], find_source(DEFAULT_PACKAGE, store))
    status, facts = difference("arm", str(build_tree(spec, store)), "production")
    assert (status, facts["changes"]) == (0, {})
    assert facts["compared"] > 6000


def test_a_folder_that_is_no_build_tree_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "harness", "layout", "diff", str(tmp_path), "production"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "make modules_prepare" in done.stderr


def test_a_kernel_does_not_differ_from_itself() -> None:
    status, facts = difference("x86_64", "production", "production")
    assert (status, facts["changes"]) == (0, {})


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_what_modules_say_they_touch_exists(arch: str) -> None:
    store = Store()
    spec = KernelSpec(ARCHITECTURES[arch], find_source(DEFAULT_PACKAGE, store))
    layouts = kernel_layouts(headers_of(spec, store), store)
    known = {name for layout in layouts.values() for name in (layout.name, layout.alias)}
    known |= {f"{layout.name}.{member.name}" for layout in layouts.values() for member in layout.members}
    touched = {place for module in shipped() if module.exercise for place in load_exercise(module.exercise).touches}
    assert touched
    assert not touched - known
