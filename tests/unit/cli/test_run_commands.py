# SPDX-License-Identifier: Apache-2.0
"""modcompat report, diff and others that run no cell: what they print and how they exit."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli.main import main
from harness.lab.plan import expected_verdicts
from harness.report.formats import FORMATS
from harness.report.recorded_run import read_run
from harness.support import paths

GOLDEN = Path(__file__).parents[1] / "golden/run"


def modcompat(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """The golden run with one verdict changed, one cell removed and one added."""
    folder = Path(shutil.copytree(GOLDEN, tmp_path / "later"))
    facts = json.loads((folder / "matrix.json").read_text())
    facts["kernel"] = "6.1.200"
    first, second, third = facts["cells"][:3]
    first |= {"verdict": "SPLAT", "reason": "BUG: it broke\nand more"}
    facts["cells"].remove(second)
    facts["cells"].append(third | {"id": "another-module", "module": "another"})
    (folder / "matrix.json").write_text(json.dumps(facts))
    return folder


def test_report_makes_every_report_in_the_run_folder(tmp_path: Path) -> None:
    run = Path(shutil.copytree(GOLDEN, tmp_path / "run"))
    result = modcompat("report", run)
    assert result.exit_code == 0
    names = ["report.html", "junit.xml", "results.ktap", "summary.md"]
    assert result.output.split() == [str(run / name) for name in names]
    assert all((run / name).stat().st_size > 300 for name in names)


@pytest.mark.parametrize(
    ("form", "start"),
    [("html", "<!doctype html>"), ("junit", "<?xml"), ("ktap", "KTAP version 1"), ("markdown", "###"), ("json", "{")],
)
def test_report_makes_one_format_where_it_is_wanted(tmp_path: Path, form: str, start: str) -> None:
    printed = modcompat("report", GOLDEN / "matrix.json", "--format", form)
    assert printed.exit_code == 0
    assert printed.output.startswith(start)
    assert modcompat("report", GOLDEN, "--format", form, "-o", tmp_path / "file").exit_code == 0
    assert (tmp_path / "file").read_text() == FORMATS[form].make(read_run(GOLDEN).elsewhere)
    run = shutil.copytree(GOLDEN, tmp_path / "run")
    assert modcompat("report", run, "--format", form, "-o", run / "file").exit_code == 0
    assert (run / "file").read_text() == printed.output


def test_a_report_for_elsewhere_has_no_links_to_the_run(tmp_path: Path) -> None:
    for form, link in (("html", 'href="./cells/'), ("junit", "[[ATTACHMENT|")):
        assert link in modcompat("report", GOLDEN, "--format", form).output
        assert modcompat("report", GOLDEN, "--format", form, "-o", tmp_path / form).exit_code == 0
        assert link not in (tmp_path / form).read_text()


def test_the_same_run_has_no_differences() -> None:
    result = modcompat("diff", GOLDEN, GOLDEN / "matrix.json")
    assert result.exit_code == 0
    assert result.output.endswith("0 changed, 0 new, 0 gone, 9 same\n")


def test_diff_says_what_changed_with_both_reasons(later: Path) -> None:
    result = modcompat("diff", GOLDEN, later)
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[:2] == ["- Linux 6.1.192, 2026-11-23, 9 cells", "+ Linux 6.1.200, 2026-11-23, 9 cells"]
    assert any(line.endswith(": CLEAN → SPLAT") for line in lines)
    assert "  + SPLAT: BUG: it broke and more" in lines
    assert any(line.startswith("new: another-module: CLEAN") for line in lines)
    assert any(line.startswith("gone: ") for line in lines)
    assert lines[-1] == "1 changed, 1 new, 1 gone, 7 same"


def test_diff_as_json(later: Path) -> None:
    result = modcompat("diff", "--json", GOLDEN, later)
    assert result.exit_code == 1
    facts = json.loads(result.output)
    assert facts["changed"][0]["after"] == {"verdict": "SPLAT", "reason": "BUG: it broke\nand more"}
    assert [cell["id"] for cell in facts["new"]] == ["another-module"]
    assert len(facts["gone"]) == 1
    assert (facts["schema"], facts["same"], facts["after"]["kernel"]) == (1, 7, "6.1.200")


@pytest.mark.parametrize(
    "arguments",
    [
        ("diff", GOLDEN, "absent"), ("diff", __file__, GOLDEN), ("report", "absent"), ("report", __file__),
        ("report", GOLDEN, "--format", "ktap", "-o", "/absent/folder/x"), ("report", "/"),
    ],
    ids=["diff-absent", "diff-foreign", "report-absent", "report-foreign", "report-nowhere", "report-folder"],
)  # fmt: skip
def test_a_mistake_is_one_line_and_status_2(arguments: tuple[object, ...]) -> None:
    result = modcompat(*arguments)
    assert result.exit_code == 2
    assert result.output.startswith("modcompat: ")
    assert len(result.output.splitlines()) == 1


def sparse(file: Path) -> None:
    """Make a file that is larger than any memory."""
    file.touch()
    os.truncate(file, 1 << 42)


@pytest.mark.parametrize("make", [os.mkfifo, sparse])
@pytest.mark.parametrize("name", ["matrix.json", "console.log", "evidence.json"])
def test_a_file_of_a_run_that_has_no_end_is_not_read(tmp_path: Path, name: str, make: Callable[[Path], object]) -> None:
    run = Path(shutil.copytree(GOLDEN, tmp_path / "run"))
    files = list(run.rglob(name))
    for file in files:
        file.unlink()
        make(file)
    if (make, name) == (os.mkfifo, "evidence.json"):  # treated like a missing file
        assert modcompat("report", run).exit_code == 0
        return
    commands = [("report", run)] + [("diff", run, run), ("record", run / name)] * (name == "matrix.json")
    for command in commands:
        result = modcompat(*command)
        assert (result.exit_code, result.output.count("\n")) == (2, 1)
        assert any(str(file) in result.output for file in files)


@pytest.mark.parametrize("folder", ["cells/\0", "..", "cells/../..", "\x1b[2J"])
def test_the_folder_of_a_cell_is_in_the_run(tmp_path: Path, folder: str) -> None:
    facts = json.loads((GOLDEN / "matrix.json").read_text())
    facts["cells"][0]["folder"] = folder
    (tmp_path / "matrix.json").write_text(json.dumps(facts))
    result = modcompat("report", tmp_path)
    assert result.exit_code == 2
    assert "is not a folder in it" in result.output
    assert result.output.removesuffix("\n").isprintable()


def test_foreign_evidence_is_named(tmp_path: Path) -> None:
    run = Path(shutil.copytree(GOLDEN, tmp_path / "run"))
    evidence = next(run.glob("cells/*/evidence.json"))
    evidence.write_text('{"evidence": {"checks": 7}}')
    result = modcompat("report", run)
    assert result.exit_code == 2
    assert str(evidence) in result.output
    assert "evidence.checks is 7, but its type must be" in result.output


def test_o_goes_with_a_format() -> None:
    assert modcompat("report", GOLDEN, "-o", "x").exit_code == 2


@pytest.mark.parametrize(
    "words", [("record", GOLDEN), ("lkdtm", "--record"), ("isolate", "bugs", "--record")], ids=["run", "lkdtm", "bugs"]
)
def test_an_installation_records_nothing(words: tuple[object, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.support.paths._DATA", paths.HARNESS / "_data")
    before = expected_verdicts.MEASURED.read_bytes()
    result = modcompat(*words)
    assert (result.exit_code, "needs a checkout of modcompat" in result.output) == (2, True)
    assert expected_verdicts.MEASURED.read_bytes() == before


def test_a_feature_without_bugs_is_named() -> None:
    result = modcompat("isolate", "bugs", "--feature", "kfence")
    assert (result.exit_code, "there are no bugs of kfence" in result.output) == (2, True)


def test_what_production_has_is_switched_on_and_told_to_the_series(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "scripts/kconfig").mkdir(parents=True)
    for name in ("Kbuild", "scripts/kconfig/Makefile"):
        (tree / name).touch()
    (tree / "Makefile").write_text("VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 192\n")
    (tree / ".config").touch()  # the debug kernel is being configured there
    config = tmp_path / "production.config"
    options = "# Linux/x86 6.1.192 Kernel Configuration\nCONFIG_X86_64=y\nCONFIG_KPROBES=y\nCONFIG_DEBUG_FS=y\n"
    config.write_text(f"{options}# CONFIG_SCHEDSTATS is not set\n")
    result = modcompat("isolate", "describe", "--config", config, "--kernel-source", tree)
    lines = result.stdout.splitlines()
    assert "CONFIG_KPROBES=y" in lines
    assert "CONFIG_MODULE_ABI_PRODUCTION_HAS_KPROBES=y" in lines
    assert "# CONFIG_MODULE_ABI_PRODUCTION_HAS_SCHEDSTATS is not set" in lines
    assert not [line for line in lines if re.match("(# )?CONFIG_(SCHEDSTATS|DEBUG_FS)", line)]
    assert 'CONFIG_MODULE_ABI_PRODUCTION_OPTIONS="DEBUG_FS"' in lines
    assert "CONFIG_MODULE_ABI_ISOLATION=y" in lines, "what it says is lost without"
    assert not [line for line in lines if "SYMVERS" in line]
    config.write_text(f"{options}CONFIG_MODVERSIONS=y\n")
    words = ("isolate", "describe", "--config", config, "--kernel-source", tree)
    assert "without its Module.symvers (--symvers)" in modcompat(*words).stderr
    (tmp_path / "Module.symvers").touch()
    lines = modcompat(*words, "--symvers", tmp_path / "Module.symvers").stdout.splitlines()
    assert f'CONFIG_MODULE_ABI_SYMVERS="{tmp_path / "Module.symvers"}"' in lines
