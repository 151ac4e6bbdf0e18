# SPDX-License-Identifier: Apache-2.0
"""Samples of Debian's own modules behave on isolated kernels as on production, or differ for a known reason.

Each production needs a debug kernel, which takes half an hour on two cores unless it is cached.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from harness.report.sweep import read_sweep
from scripts import sweeps

SAMPLE = 200
PRODUCTIONS = (
    "debian:bookworm/linux-image-amd64",
    "debian:bookworm/linux-image-arm64",
    "debian:bookworm/linux-image-armmp",
    "debian:trixie/linux-image-amd64",
)


@pytest.mark.parametrize("production", PRODUCTIONS)
def test_a_sample_behaves_as_on_production(production: str, tmp_path: Path) -> None:
    words = ["--production", production, "--sample", str(SAMPLE), "--run-dir", str(tmp_path)]
    done = subprocess.run([sys.executable, "-m", "harness", "sweep", *words], check=False)
    assert done.returncode in (0, 1)
    found = sweeps.recorded(read_sweep(tmp_path / "sweep.json"))
    assert found["modules"] == SAMPLE
    explained = tomllib.loads(sweeps.EXPLANATIONS.read_text())
    new = [row for row in found["not_clean"] if row["reason"] and not sweeps.explanation(row, found, explained)]
    assert not new
