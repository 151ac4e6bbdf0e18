# SPDX-License-Identifier: Apache-2.0
"""Configurations: Kconfig's result is compared with the request, and the gate names symbols that differ."""

import pytest

from harness.kernel.arch import ARCHITECTURES
from harness.kernel.config import gate
from harness.kernel.features import FEATURES
from harness.kernel.kconfig import differences, parse, unmet
from harness.kernel.variants import preemption_in, variant_of
from harness.support.errors import ModcompatError
from harness.support.paths import KCONFIG

PRODUCTION = parse('CONFIG_SMP=y\nCONFIG_HZ=100\n# CONFIG_DEBUG_LOCKS is not set\nCONFIG_NAME="a b"\n')
LOCKS = FEATURES["spinlock"]


def test_a_config_is_read_with_its_unset_symbols() -> None:
    assert PRODUCTION == {"SMP": "y", "HZ": "100", "DEBUG_LOCKS": "n", "NAME": '"a b"'}


def test_a_dropped_request_is_named() -> None:
    assert unmet({"SMP": "y", "PCI": "y"}, PRODUCTION) == {"PCI": ("y", "n")}


def test_an_absent_symbol_equals_one_that_is_not_set() -> None:
    assert differences(PRODUCTION, {key: value for key, value in PRODUCTION.items() if value != "n"}) == {}


def test_the_gate_lets_the_feature_and_its_followers_through() -> None:
    featured = PRODUCTION | {"DEBUG_SPINLOCK": "y", "UNINLINE_SPIN_UNLOCK": "y"}
    gate(PRODUCTION | {"INLINE_SPIN_UNLOCK_IRQ": "y"}, featured, variant_of(LOCKS))


def test_what_tracing_selects_may_differ_where_production_lacks_it() -> None:
    featured = PRODUCTION | {"FUNCTION_TRACER": "y", "TRACING": "y", "STACKTRACE": "y"}
    gate(PRODUCTION, featured, variant_of(FEATURES["ftrace"]))


def test_the_symbols_of_isolation_may_differ_in_isolated_kernels_only() -> None:
    featured = PRODUCTION | {"DEBUG_SPINLOCK": "y", "MODULE_ABI_ISOLATION": "y", "DEBUG_SPINLOCK_OUTSIDE": "y"}
    gate(PRODUCTION, featured, variant_of(LOCKS, isolated=True))
    with pytest.raises(ModcompatError):
        gate(PRODUCTION, featured, variant_of(LOCKS))


@pytest.mark.parametrize(
    "stray", [{"UNWINDER_ORC": "y"}, {"UPROBE_EVENTS": "y", "TRACING": "y"}, {"SMP": "n"}, {"HZ": "250"}]
)
def test_the_gate_names_what_else_changed(stray: dict[str, str]) -> None:
    with pytest.raises(ModcompatError) as caught:
        gate(PRODUCTION, PRODUCTION | {"DEBUG_SPINLOCK": "y"} | stray, variant_of(LOCKS))
    for symbol in stray:
        assert symbol in caught.value.problem
    assert "UNINLINE" not in str(caught.value)


@pytest.mark.parametrize("counts", [{}, {"PREEMPT_COUNT": "y"}, {"PREEMPTION": "y"}])
def test_what_needs_preemption_is_not_told_as_a_stray_symbol(counts: dict[str, str]) -> None:
    lockdep, production = FEATURES["lockdep"], PRODUCTION | counts
    featured = production | {"PROVE_LOCKING": "y", "UNHEARD_OF": "y"}
    with pytest.raises(ModcompatError, match="UNHEARD_OF" if counts else "does not count preemption"):
        gate(production, featured, variant_of(lockdep, isolated=True))
    with pytest.raises(ModcompatError, match="UNHEARD_OF"):
        gate(production, featured, variant_of(lockdep))


def test_a_feature_requests_the_symbols_that_its_entry_names() -> None:
    for feature in FEATURES.values():
        fragment = parse(feature.fragment.read_text())
        assert {symbol for symbol, value in fragment.items() if value != "n"} >= set(feature.symbols)


def test_every_feature_can_be_proven() -> None:
    for feature in FEATURES.values():
        for part in feature.proofs():
            assert (part.proof / "live").is_file() != ((part.proof / "proof.c").is_file() and bool(part.violation))


def test_detectors_are_off_in_the_bare_baseline() -> None:
    bare = parse((KCONFIG / "bare.config").read_text())
    on = parse((KCONFIG / "common.config").read_text())
    detectors = {symbol for feature in FEATURES.values() if feature.is_detector for symbol in feature.symbols}
    assert set(bare.values()) == {"n"}
    assert set(bare) == {symbol for symbol in detectors if on.get(symbol, "n") != "n"}


def test_no_production_fragment_has_a_feature_on() -> None:
    fragments = ("common.config", "preempt.config", *(f"arch/{arch}.config" for arch in ARCHITECTURES))
    requested = [parse((KCONFIG / name).read_text()) for name in fragments]
    symbols = {symbol for feature in FEATURES.values() if not feature.is_detector for symbol in feature.symbols}
    assert not {symbol for symbol in symbols for fragment in requested if fragment.get(symbol, "n") != "n"}


@pytest.mark.parametrize(
    ("symbol", "model"),
    [("PREEMPT", "preempt"), ("PREEMPT_VOLUNTARY", "voluntary"), ("PREEMPT_NONE", "none"), ("", "none")],
)
def test_a_users_preemption_model_is_what_its_configuration_says(symbol: str, model: str) -> None:
    assert preemption_in(PRODUCTION | {symbol: "y"}) == model
