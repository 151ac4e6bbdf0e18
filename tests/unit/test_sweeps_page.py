# SPDX-License-Identifier: Apache-2.0
"""The page of recorded sweeps: explained findings of isolated kernels, counted breakages of stock ones."""

from typing import Any

from scripts import sweeps


def sweep(kernel: str, *reasons: str) -> dict[str, Any]:
    return {
        "date": "2026-11-29", "board": "q35", "qemu": "QEMU 7.2", "modules": len(reasons), "planned": len(reasons),
        "production": {"name": "debian:linux-image-amd64", "release": "6.1.0-1", "version": "6.1.1", "arch": "x86_64"},
        "kernels": [{"name": kernel, "source": "6.1.1", "options": {"DEBUG_SPINLOCK": "y"}}],
        "folders": {kernel: {"drivers": {"REFUSED": len(reasons)}}, "production": {"drivers": {"CLEAN": 2}}},
        "predictions": {kernel: [2, 2]},
        "not_clean": [
            {"place": f"kernel/drivers/module-{number}.ko.xz", "kernel": kernel, "verdict": "REFUSED", "why": "",
             "reason": reason}
            for number, reason in enumerate(reasons)
        ],
    }  # fmt: skip


REFUSED = (
    "module_0: disagrees about version of symbol up; and more",
    "module_1: disagrees about version of symbol down",
)


def test_breakages_on_a_stock_kernel_are_counted_by_what_happens() -> None:
    text = "\n".join(sweeps.page([sweep("stock-spinlock", *REFUSED, "it hangs")], {}))
    assert "| 2 | REFUSED | MODULE: disagrees about version of symbol ... |" in text
    assert "| 1 | REFUSED | it hangs |" in text
    assert "module-0" not in text


def test_rare_kinds_are_counted_together() -> None:
    kinds = [f"kind {chr(ord('a') + number)}" for number in range(20)]
    assert "| 5 |  | other |" in "\n".join(sweeps.page([sweep("stock-spinlock", *kinds)], {}))


def test_a_finding_on_an_isolated_kernel_is_shown_with_its_explanation() -> None:
    explained = {"finding": [{"module": "*module-0*", "because": "a known reason"}]}
    lines = list(sweeps.page([sweep("isolated-spinlock", *REFUSED)], explained))
    assert f"| `kernel/drivers/module-0.ko.xz` | REFUSED | {REFUSED[0]} | a known reason |" in lines
    assert f"| `kernel/drivers/module-1.ko.xz` | REFUSED | {REFUSED[1]} |  |" in lines


def test_modules_loaded_by_force_are_another_sweep() -> None:
    forced = sweep("stock-spinlock", *REFUSED) | {"ignores_versions": True}
    assert "2 modules, loaded by force" in "\n".join(sweeps.page([forced], {}))
