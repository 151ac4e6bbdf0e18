# SPDX-License-Identifier: Apache-2.0
"""modcompat merge makes of shards what one run would have written, and refuses what is not whole."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness.cli.main import main
from harness.report import sweep
from harness.report.recorded_run import read_run

GOLDEN = Path(__file__).parents[1] / "golden/run"
PARTS = 3
COMMAND = "modcompat check --shard {part}/3 'vendor module.ko'"


def modcompat(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def written(folder: Path, facts: dict[str, Any]) -> None:
    (folder / "matrix.json").write_text(json.dumps(facts, indent=1))


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """The golden run, in parts."""
    whole = json.loads((GOLDEN / "matrix.json").read_text())
    folders = []
    for part in range(1, PARTS + 1):
        folder = tmp_path / f"part {part}"
        places = list(range(len(whole["cells"])))[part - 1 :: PARTS]
        rows = [whole["cells"][place] for place in places]
        for row in rows:
            if (GOLDEN / row["folder"]).is_dir():
                shutil.copytree(GOLDEN / row["folder"], folder / row["folder"])
        folder.mkdir(exist_ok=True)
        shard = {
            "part": part, "parts": PARTS, "plan": "digest", "cells": len(whole["cells"]), "places": places,
            "ended": True,
        }  # fmt: skip
        written(folder, whole | {"cells": rows, "shard": shard, "command": COMMAND.format(part=part)})
        folders.append(folder)
    return folders


def change(folder: Path, **shard: object) -> None:
    facts = json.loads((folder / "matrix.json").read_text())
    facts["shard"] |= shard
    written(folder, facts)


def change_all(folders: list[Path], **shard: object) -> None:
    for folder in folders:
        change(folder, **shard)


def command(folder: Path, text: str) -> None:
    written(folder, json.loads((folder / "matrix.json").read_text()) | {"command": text})


def test_shards_of_machines_with_other_folders(shards: list[Path], tmp_path: Path) -> None:
    for number, part in enumerate(shards, start=1):
        command(part, f"/job@{number}/python -m pytest --shard {number}/3 --module=/job@{number}/vendor.ko")
    result = modcompat("merge", *shards, "--run-dir", tmp_path / "merged")
    assert (tmp_path / "merged/matrix.json").is_file(), result.output


def test_a_run_from_elsewhere_writes_into_the_new_folder_only(shards: list[Path], tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (shards[0] / "cells/link").symlink_to(victim)
    (shards[0] / "cells/folder").mkdir()
    (shards[0] / "cells/folder/link").symlink_to("../../../victim")
    (shards[0] / "cells/folder/core").symlink_to("../other/core")
    for name in ("cells/link", "cells/folder/link"):
        (shards[1] / name).mkdir(parents=True)
        (shards[1] / name / "file").touch()
    modcompat("merge", *shards, "--run-dir", tmp_path / "merged")
    assert not [*victim.iterdir()]
    assert (tmp_path / "merged/cells/folder/link/file").is_file()
    assert (tmp_path / "merged/cells/folder/core").is_symlink()


def test_shards_make_the_whole_run(shards: list[Path], tmp_path: Path) -> None:
    merged = tmp_path / "merged"
    result = modcompat("merge", *reversed(shards), "--run-dir", merged)
    whole = read_run(GOLDEN)
    found = json.loads((merged / "matrix.json").read_text())
    assert found["cells"] == json.loads((GOLDEN / "matrix.json").read_text())["cells"]
    assert {name: found[name] for name in ("schema", "date", "kernel", "compilers", "qemu")} == {
        name: whole.facts[name] for name in ("schema", "date", "kernel", "compilers", "qemu")
    }
    assert found["command"] == "modcompat check 'vendor module.ko'"
    assert "shard" not in found
    assert all(cell.has_evidence for cell in read_run(merged).cells if (GOLDEN / cell.row["folder"]).is_dir())
    assert (merged / "report.html").is_file()
    alone = modcompat("merge", GOLDEN, "--run-dir", tmp_path / "alone")
    assert result.exit_code == alone.exit_code
    assert str(merged / "matrix.json") in result.output


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda parts: parts.pop(), "shard 3/3 is missing"),
        (lambda parts: parts.append(parts[0]), "are the same shard"),
        (lambda parts: change(parts[1], parts=4), "of 3 and 4 parts"),
        (lambda parts: change(parts[1], ended=False), "lacks cells"),
        (lambda parts: change(parts[1], plan="other"), "of different plans"),
        (lambda parts: change_all(parts, cells=99), "of 99 cells"),
        (lambda parts: command(parts[1], "modcompat check --shard 2/3 other.ko"), "of different plans"),
        (lambda parts: change(parts[1], places=[1]), "these shards have"),
        (lambda parts: parts.append(GOLDEN), "is no shard"),
    ],
    ids=["missing", "twice", "other", "interrupted", "plan", "few", "command", "misplaced", "whole"],
)
def test_what_is_not_whole_is_refused(
    shards: list[Path], damage: Callable[[list[Path]], object], message: str, tmp_path: Path
) -> None:
    damage(shards)
    result = modcompat("merge", *shards, "--run-dir", tmp_path / "merged")
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "merged").exists()


def test_the_same_run_twice(tmp_path: Path) -> None:
    result = modcompat("merge", GOLDEN, GOLDEN, "--run-dir", tmp_path / "merged")
    assert result.exit_code == 2
    assert "are in two runs, for example" in result.output


@pytest.fixture
def sweeps(tmp_path: Path) -> list[Path]:
    """A sweep, in parts."""
    folders = []
    for part in range(1, PARTS + 1):
        cell = {"verdict": "CLEAN", "reason": "", "prediction": None, "seconds": 0.4, "folder": ""}
        modules = [
            {"name": f"m{n}", "place": f"kernel/m{n}.ko", "cells": {"production": cell, "isolated-hidden": cell}}
            for n in range(part, 10, PARTS)
        ]
        folder = tmp_path / f"part {part}"
        (folder / "cells").mkdir(parents=True)
        facts = {
            "schema": 1, "modcompat": "0", "date": f"2026-11-0{part}",
            "command": f"modcompat sweep --shard={part}/3 --run-dir 'part {part}' -n 2",
            "production": {"name": "debian", "release": "6.1", "version": "6.1", "arch": "x86_64"}, "board": "q35",
            "qemu": "QEMU", "kernels": [{"name": "isolated-hidden", "source": "linux", "options": {}}],
            "options": {"ignore_versions": False, "guest_memory": 0}, "planned": len(modules),
            "shard": {"part": part, "parts": PARTS, "plan": "digest"}, "modules": modules,
        }  # fmt: skip
        (folder / "sweep.json").write_text(json.dumps(facts))
        folders.append(folder)
    return folders


def test_shards_of_a_sweep(sweeps: list[Path], tmp_path: Path) -> None:
    merged = tmp_path / "merged"
    result = modcompat("merge", *reversed(sweeps), "--run-dir", merged)
    assert result.exit_code == 0, result.output
    facts = sweep.read_sweep(merged / "sweep.json").facts
    assert [module["name"] for module in facts["modules"]] == [f"m{n}" for n in range(1, 10)]
    assert (facts["planned"], facts["date"], facts["command"]) == (9, "2026-11-03", "modcompat sweep -n 2")
    assert "9 of 9 modules behave as on production" in result.output
    assert (merged / "sweep.html").is_file()


def test_a_sweep_that_lacks_modules_is_no_shard(sweeps: list[Path], tmp_path: Path) -> None:
    facts = json.loads((sweeps[1] / "sweep.json").read_text())
    (sweeps[1] / "sweep.json").write_text(json.dumps(facts | {"planned": 7}))
    result = modcompat("merge", *sweeps, "--run-dir", tmp_path / "merged")
    assert result.exit_code == 2
    assert "has 3 of 7 modules" in result.output
    assert "next: go on with it: modcompat sweep --shard=2/3" in result.output


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"options": {"ignore_versions": True, "guest_memory": 0}}, "they differ in 'options'"),
        ({"shard": {"part": 2, "parts": PARTS, "plan": "of another sample"}}, "of different sweeps"),
    ],
    ids=["options", "plan"],
)
def test_shards_of_other_sweeps(sweeps: list[Path], changed: dict[str, object], message: str, tmp_path: Path) -> None:
    file = sweeps[1] / "sweep.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    result = modcompat("merge", *sweeps, "--run-dir", tmp_path / "merged")
    assert result.exit_code == 2
    assert message in result.output


def test_a_module_in_two_shards(sweeps: list[Path], tmp_path: Path) -> None:
    modules = [json.loads((folder / "sweep.json").read_text())["modules"] for folder in sweeps]
    facts = json.loads((sweeps[1] / "sweep.json").read_text())
    (sweeps[1] / "sweep.json").write_text(json.dumps(facts | {"modules": modules[0]}))
    result = modcompat("merge", *sweeps, "--run-dir", tmp_path / "merged")
    assert result.exit_code == 2
    assert "modules are in two shards, for example kernel/m1.ko" in result.output
