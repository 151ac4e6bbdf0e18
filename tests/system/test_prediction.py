# SPDX-License-Identifier: Apache-2.0
"""Predictions compared with measurements: the vendor modules on every recorded kernel."""

import json
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from harness.abi.elf.module_file import read_module
from harness.abi.predict.predictor import Predictor
from harness.kernel.arch import ARCHITECTURES
from harness.kernel.build import build_kernel, find_kernel
from harness.kernel.config import distinct
from harness.kernel.features import FEATURES
from harness.kernel.isolation_patches import kernel_spec
from harness.kernel.module_build import build_modules
from harness.kernel.module_headers import headers_of
from harness.kernel.source import DEFAULT_PACKAGE, KernelSource, find_source
from harness.kernel.variants import Preemption, Variant, variant_of
from harness.lab.plan import expected_verdicts
from harness.lab.plan.vendor_modules import shipped
from harness.support.cache.store import Store

# Cells with a wrong prediction: (module, features, architectures) -> the reason that static analysis cannot see.
CAUSES = {
    ("tasks", ("kasan",), ("x86_64",)): (
        "KASAN doubles THREAD_SIZE, a constant in the module's code that belongs to no structure"
    ),
}
AGREEMENT = 0.9  # least fraction of the cells
Judged = tuple[dict[str, Any], bool, str]  # a row, whether its prediction agrees, and a description of both


class Cells:
    """Module files, each built once, and predictions."""

    def __init__(self) -> None:
        self.store = Store()
        self.source: KernelSource = find_source(DEFAULT_PACKAGE, self.store)
        self.predictor = Predictor(self.store)
        self.sources = {module.name: module.source for module in shipped()}
        self.file = cache(self._file)

    def _file(self, arch: str, production: Variant, module: str) -> Path:
        kernel = build_kernel(kernel_spec(ARCHITECTURES[arch], self.source, production, self.store), self.store)
        source = self.sources[module]
        assert source is not None
        return build_modules(source, kernel, self.store)[module]

    def predict(self, row: dict[str, Any]) -> tuple[bool, str] | None:
        """Whether a row's prediction agrees with one of its verdicts, and a description. None without its kernel."""
        isolated = row["flavour"] == "isolated"
        variant = variant_of(FEATURES[row["feature"]], Preemption(row["preemption"]), isolated=isolated)
        arch = ARCHITECTURES[row["arch"]]
        spec = distinct(kernel_spec(arch, self.source, variant, self.store), self.store)
        production = kernel_spec(arch, self.source, variant.production, self.store)
        if not (find_kernel(spec, self.store) and find_kernel(production, self.store)):
            return None
        file = self.file(row["arch"], variant.production, row["module"])
        both = [headers_of(kernel, self.store) for kernel in (production, spec)]
        found = self.predictor.predict(file, read_module(file), *both)
        seen = expected_verdicts.words(row)
        agrees = any(found.agrees_with(word) for word in seen)
        return agrees, f"predicted {found.outcome} ({found.reason}), seen {' or '.join(seen)} ({row['reason'][:200]})"


def cause(row: dict[str, Any]) -> str:
    """The known reason for a cell's wrong prediction, or ""."""
    return next(
        (
            why
            for (module, features, arches), why in CAUSES.items()
            if row["module"] == module and row["feature"] in features and row["arch"] in arches
        ),
        "",
    )


@pytest.fixture(scope="module")
def judged() -> list[Judged]:
    """Every recorded cell whose kernels are cached. `make test` builds those of the ci matrix before."""
    cells = Cells()
    predicted = [(row, cells.predict(row)) for row in expected_verdicts.load()["cells"]]
    return [(row, *found) for row, found in predicted if found]


def test_every_disagreement_has_a_known_cause(judged: list[Judged]) -> None:
    keys = ("arch", "flavour", "feature", "preemption", "module")
    wrong = [
        f"{' '.join(row[key] for key in keys)}: {text}" for row, agrees, text in judged if not agrees and not cause(row)
    ]
    assert not wrong, "\n".join(wrong)


def test_predictions_agree_with_what_was_measured(judged: list[Judged]) -> None:
    agreeing = sum(agrees for _, agrees, _ in judged)
    causes = Counter(cause(row) for row, agrees, _ in judged if not agrees)
    assert judged, "no kernel of a cell on record has been built"
    recorded = len(expected_verdicts.load()["cells"])
    print(f"prediction: {agreeing} of {len(judged)} cells agree ({agreeing / len(judged):.1%}); {recorded} on record")
    for why, count in causes.items():
        print(f"  {count} disagree: {why}")
    assert agreeing / len(judged) >= AGREEMENT


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", "predict", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_says_which_field_moved() -> None:
    file = Cells().file("x86_64", Variant(), "locks")
    done = run(file, "--kernel", "production", "--kernel", "stock-spinlock", "--json")
    assert done.returncode == 1, done.stderr
    (module,) = json.loads(done.stdout)["modules"]
    assert module["facts"]["struct_size"] == 768
    assert module["kernels"]["production"]["verdict"] == "CLEAN"
    broken = module["kernels"]["stock-spinlock"]
    assert broken["verdict"] == "INERT"
    assert broken["reason"] == "struct module.init 0x138 → 0x150: the kernel never finds its init"
    assert "struct raw_spinlock" in {entry["structure"] for entry in broken["differing"]}


def test_the_command_shows_facts_and_a_table() -> None:
    done = run(Cells().file("x86_64", Variant(), "locks"), "--kernel", "production")
    assert done.returncode == 0, done.stderr
    for words in ("6.1.192 SMP mod_unload", "768 bytes, init at 0x138, exit at 0x2c8", "GCC", "production", "CLEAN"):
        assert words in done.stdout


@pytest.mark.parametrize("content", [b"", b"not a module", b"\x7fELF\x02\x01\x01"], ids=["empty", "text", "cut"])
def test_a_file_that_is_no_module_is_one_line_and_status_2(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "vendor.ko"
    file.write_bytes(content)
    done = run(file)
    assert done.returncode == 2
    assert done.stderr.startswith("modcompat: ")
    assert done.stderr.count("\n") == 1
