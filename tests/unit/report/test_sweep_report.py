# SPDX-License-Identifier: Apache-2.0
"""The reports of a sweep: a summary, a page that is safe with any names, and an exit status."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness.report.sweep import Sweep, exit_status, page, read_sweep, summary
from harness.support.errors import ModcompatError

KERNEL = "isolated-hidden"


def cell(verdict: str, reason: str = "", folder: str = "") -> dict[str, Any]:
    prediction = {"verdict": "CLEAN", "reason": "", "agrees": verdict in ("CLEAN", "SAME")}
    return {"verdict": verdict, "reason": reason, "seconds": 0.5, "folder": folder, "prediction": prediction}


def module(place: str, production: str, verdict: str, reason: str = "") -> dict[str, Any]:
    cells = {"production": cell(production), KERNEL: cell(verdict, reason)}
    return {"name": Path(place).stem, "place": place, "cells": cells}


def sweep(*modules: dict[str, Any]) -> Sweep:
    production = {"name": "debian:linux-image-amd64", "release": "6.1.0-7-amd64", "version": "6.1.9", "arch": "x86_64"}
    kernel = {"name": KERNEL, "source": "6.1.9 with isolation", "options": {"DEBUG_SPINLOCK": "y"}}
    facts = {"schema": 1, "modcompat": "0", "date": "2026-11-28", "command": "modcompat sweep", "board": "q35"}
    facts |= {"production": production, "qemu": "QEMU 7.2", "kernels": [kernel], "planned": len(modules)}
    return Sweep({**facts, "modules": list(modules)})


GOOD = (
    module("kernel/drivers/net/veth.ko", "CLEAN", "CLEAN"),
    module("kernel/drivers/net/e1000e.ko", "REFUSED", "SAME"),
    module("kernel/fs/xfs.ko", "CLEAN", "CLEAN"),
)
BAD = module("kernel/fs/btrfs.ko", "CLEAN", "DIFFERS", "messages in the load: production nothing, here `x`")
VOID = module("kernel/fs/ext4.ko", "INVALID", "INVALID", "no proof")


@pytest.mark.parametrize(("more", "status"), [((), 0), ((BAD,), 1), ((BAD, VOID), 2)])
def test_the_exit_status_follows_from_the_worst_cell(more: tuple[dict[str, Any], ...], status: int) -> None:
    assert exit_status(sweep(*GOOD, *more)) == status


def test_the_summary_counts_by_folder_and_lists_findings() -> None:
    lines = list(summary(sweep(*GOOD, BAD)))
    assert "  3 of 4 modules behave as on production: 2 CLEAN, 1 SAME, 1 DIFFERS" in lines
    assert "  3 of 4 predictions agree" in lines
    of_folder = next(line for line in lines if "kernel/fs " in line)
    assert of_folder.split() == ["kernel/fs", "2", "1", "CLEAN,", "1", "DIFFERS"]
    assert lines[-1].startswith(f"DIFFERS kernel/fs/btrfs.ko on {KERNEL}: messages in the load")


def test_a_long_summary_is_cut() -> None:
    bad = [module(f"kernel/fs/fs{number}.ko", "CLEAN", "SPLAT", "BUG") for number in range(100)]
    lines = list(summary(sweep(*bad)))
    assert lines[-1] == "and 60 more findings, in sweep.html and in sweep.json"


def test_names_cannot_end_the_data_of_the_page() -> None:
    text = page(sweep(module("kernel/</script><img src=x onerror=1>\x1b.ko", "CLEAN", "SPLAT", "</script>")))
    assert "<img" not in text
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert data
    assert json.loads(data[1])[0][0] == "kernel/</script><img src=x onerror=1>␛.ko"


def test_the_page_runs_its_own_script_and_nothing_else() -> None:
    text = page(sweep(*GOOD))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)
    assert policy
    assert script
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy[1]
    assert policy[1].startswith("default-src 'none'; style-src 'sha256-")


def test_a_sweep_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "sweep.json"
    file.write_text(json.dumps(sweep(*GOOD, BAD).facts))
    assert list(summary(read_sweep(file))) == list(summary(sweep(*GOOD, BAD)))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is not JSON"),
        ("[]", 'the file is [], but its type must be "object"'),
        ("{}", "in the file, 'schema' is a required property"),
        (json.dumps({**sweep().facts, "schema": 2}), "a later modcompat wrote"),
        (json.dumps(sweep(BAD | {"cells": {KERNEL: {}}}).facts), "'verdict' is a required property"),
        (json.dumps(sweep(BAD | {"cells": {KERNEL: cell("FINE")}}).facts), '.verdict is "FINE", but its enum must be'),
        (json.dumps(sweep(BAD | {"cells": {KERNEL: cell("SPLAT", folder="/etc")}}).facts), "folder is"),
    ],
    ids=["empty", "list", "nothing", "later", "cell", "verdict", "folder"],
)
def test_another_file_is_no_sweep(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "sweep.json"
    file.write_text(text)
    with pytest.raises(ModcompatError) as caught:
        read_sweep(file)
    assert complaint in str(caught.value)
    with pytest.raises(ModcompatError, match="cannot read"):
        read_sweep(tmp_path / "absent")
