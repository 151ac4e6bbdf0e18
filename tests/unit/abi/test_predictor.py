# SPDX-License-Identifier: Apache-2.0
"""The cache of predictions: if anything that a prediction was made from changes, it is made again."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.abi.compare.layout_diff import Change
from harness.abi.elf.dwarf import Layout
from harness.abi.elf.exported_types import ExportedTypes
from harness.abi.elf.module_file import ModuleFacts, Section
from harness.abi.predict import predictor
from harness.abi.predict.loader import PredictedOutcome
from harness.abi.predict.prediction import Prediction, _clean
from harness.abi.predict.predictor import Predictor
from harness.abi.predict.reachability import ReachableStruct
from harness.kernel.arch import X86_64
from harness.kernel.module_headers import Headers
from harness.support.cache.store import Store

PLAIN = Headers("production", X86_64, {"config": "A=y"}, Path)
OTHER = Headers("production-bare", X86_64, {"config": "A=n"}, Path, plain=PLAIN)


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a probe that is never compiled."""
    folder = tmp_path / "probe"
    folder.mkdir()
    (folder / "headers.txt").write_text("linux/module.h\n")
    monkeypatch.setattr("harness.abi.headers.probe._PROBE", folder)
    monkeypatch.setattr(predictor, "kernel_exported_types", lambda *_: ExportedTypes({}, {}))
    monkeypatch.setattr(predictor, "kernel_layouts", lambda *_: {"struct module": Layout("struct module", 8, ())})
    monkeypatch.setattr(predictor, "read_module_code", lambda *_: None)
    monkeypatch.setattr(predictor, "accesses", lambda *_: ())
    return folder


def kept(production: Headers, folder: Path) -> dict[str, set[str]]:
    """Names of the cache entries that a prediction for a module leaves, by kind."""
    store = Store(folder / "cache")
    file = folder / "vendor.ko"
    file.touch()
    predictor = Predictor(store)
    predictor._accesses(file, ModuleFacts("vendor", arch=X86_64), production, predictor.exported_types(production))
    predictor.difference(production, replace(production, label="stock", inputs={"config": "B=y"}))
    return {kind: {entry.name for entry in store.entries(kind)} for kind in ("code", "change")}


@pytest.mark.parametrize("production", [PLAIN, OTHER], ids=["plain", "other"])
@pytest.mark.parametrize(
    ("changed", "kinds"),
    [("probe", {"code", "change"}), ("export_prototypes", {"code"}), ("layouts", {"change"}), ("nothing", set())],
)
def test_what_was_read_in_another_way_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, probe: Path, *, production: Headers, changed: str, kinds: set[str]
) -> None:
    before = kept(production, tmp_path)
    assert all(before.values())
    if changed == "probe":
        (probe / "headers.txt").write_text("linux/usb.h\n")
    elif changed != "nothing":
        version = {"export_prototypes": "_EXPORTS_CACHE_VERSION", "layouts": "_LAYOUTS_CACHE_VERSION"}[changed]
        monkeypatch.setattr(f"harness.abi.headers.{changed}.{version}", 1000)
    after = kept(production, tmp_path)
    wanted = kinds | ({"code"} if changed == "layouts" and production.plain else set())
    assert {kind for kind in after if after[kind] > before[kind]} == wanted


def test_a_difference_is_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, probe: Path) -> None:
    kernels = [{name: Layout(name, 8, ()) for name in ("struct module", own)} for own in ("old", "new")]
    monkeypatch.setattr(predictor, "kernel_layouts", lambda *_: kernels.pop(0))
    stock = replace(PLAIN, label="stock", inputs={"config": "B=y"})
    for _ in range(2):
        difference = Predictor(Store(tmp_path / "cache")).difference(PLAIN, stock)
        assert difference.is_gone("old")
        assert difference.is_new("new")
        assert not difference.changes


def test_code_that_is_too_long_is_not_said_to_be_harmless(tmp_path: Path, probe: Path) -> None:
    assert probe.is_dir()
    module = ModuleFacts("vendor", arch=X86_64, sections=(Section(".text", 5 << 20, "AX"),))
    predictor = Predictor(Store(tmp_path / "cache"))
    assert predictor._accesses(tmp_path / "vendor.ko", module, PLAIN, ExportedTypes()) is None
    layout = Layout("struct file", 8, ())
    reached = [ReachableStruct(Change(layout, layout, (), (), (), ()), "filp_open", 0, caller_allocated=False)]
    assert "too long to be read" in _clean(reached, was_read=False)


@pytest.mark.parametrize(
    ("outcome", "verdict", "agrees"),
    [
        (PredictedOutcome.REFUSED, "REFUSED", True),
        (PredictedOutcome.REFUSED, "CLEAN", False),
        (PredictedOutcome.REFUSED, "DIFFERS", True),
        (PredictedOutcome.CLEAN, "DIFFERS", False),
        (PredictedOutcome.CLEAN, "SAME", True),
        (PredictedOutcome.BREAKS, "SAME", False),
        (PredictedOutcome.BREAKS, "HUNG", True),
        (PredictedOutcome.INERT, "HUNG", False),
        (PredictedOutcome.INERT, "INVALID", None),
    ],
)
def test_a_verdict_belongs_to_an_outcome_or_to_another(
    outcome: PredictedOutcome, verdict: str, *, agrees: bool | None
) -> None:
    assert Prediction(outcome, "").agrees_with(verdict) is agrees
