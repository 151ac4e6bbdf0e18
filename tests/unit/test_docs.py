# SPDX-License-Identifier: Apache-2.0
"""The documentation: pages written from the code are up to date, and everything that pages name exists.

`mkdocs build --strict`, a part of `make lint`, checks the links within docs/.
"""

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from harness.cli.main import main as modcompat
from harness.guest.boards import BOARDS
from harness.kernel.features import FEATURES
from harness.lab.plan.options import OPTIONS
from harness.support.paths import PROJECT
from scripts.docs import pages

DOCS = PROJECT / "docs"
OUTSIDE = [*PROJECT.glob("*.md"), *PROJECT.glob(".github/**/*.md"), *PROJECT.glob("trial/*.md")]
PAGES = sorted([*DOCS.rglob("*.md"), *OUTSIDE])
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
# A path in the repository. In fenced blocks, images/, modules/ and scripts/ may be folders of a user or of the kernel.
PATH = re.compile(r"(?:benchmarks|docs|examples|harness|images|modules|scripts|tests|trial|\.github)/[\w./*-]*")
FENCED_PATH = re.compile(r"(?<![\w./~-])(?:benchmarks|docs|harness|tests|trial)/[\w./-]+")
MADE_BY_KERNELS = {"olddefconfig", "modules_prepare", "kernelrelease"}  # targets of the kernel's Makefile, not of ours
NOT_COMMITTED = {"trial/build"}
WIDEST = 120


def relative(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def by_hand(text: str) -> Iterator[tuple[int, str]]:
    """Number and text of each line that was written by hand."""
    lines = text.splitlines()
    if any(line.startswith("<!-- Generated") and "do not edit" in line for line in lines[:5]):
        return
    generated = False
    for number, line in enumerate(lines, start=1):
        generated = line.startswith("<!-- Generated") or (generated and not line.startswith("<!-- end of"))
        if not generated:
            yield number, line


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below
            yield from commands(below, (*path, name))


def test_generated_pages_are_what_the_script_writes() -> None:
    stale = [relative(path) for path, text in pages().items() if path.read_text() != text]
    assert not stale, "run .venv/bin/python scripts/docs.py"


def test_generated_pages_are_the_same_on_another_machine() -> None:
    code = (
        "import os; os.cpu_count = lambda: 16; os.sched_getaffinity = lambda _: set(range(16)); "
        "from scripts.docs import pages; "
        "print([path.name for path, text in pages().items() if path.read_text() != text])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=relative)
def test_paths_in_the_repository_exist(page: Path) -> None:
    text = page.read_text()
    inline = [code for code in CODE.findall(FENCED.sub("", text)) if PATH.fullmatch(code)]
    fenced = [path for _, block in FENCED.findall(text) for path in FENCED_PATH.findall(block)]
    missing = {
        path for path in (*inline, *fenced)
        if path.rstrip("/") not in NOT_COMMITTED and not any(PROJECT.glob(path.rstrip("/.")))
    }  # fmt: skip
    assert not missing


@pytest.mark.parametrize("page", sorted(OUTSIDE), ids=relative)
def test_links_outside_of_the_site_lead_somewhere(page: Path) -> None:
    folder = DOCS / "results" if page.parent.name == "trial" else page.parent  # included in docs/results/trial.md
    for link in LINK.findall(FENCED.sub("", page.read_text())):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (folder / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_lines_by_hand_fit(page: Path) -> None:
    is_measured = page.parent.name == "results"  # tables of measurements cannot be wrapped
    wide = [
        number for number, line in by_hand(page.read_text())
        if len(line) > WIDEST and not (is_measured and line.startswith("|"))
    ]  # fmt: skip
    assert not wide


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_imports_in_examples_work(page: Path) -> None:
    for language, block in FENCED.findall(page.read_text()):
        if language == "python":
            for module, names in re.findall(r"^from (harness[\w.]*) import (.+)$", block, re.MULTILINE):
                found = importlib.import_module(module)
                assert all(hasattr(found, name.strip()) for name in names.split(",")), module


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_commands_and_targets_exist(page: Path) -> None:
    known = set(commands(modcompat))
    targets = set(re.findall(r"^(\w+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)) | MADE_BY_KERNELS
    text = page.read_text()
    codes = [
        *CODE.findall(FENCED.sub("", text)),
        *(line for _, block in FENCED.findall(text) for line in block.split("\n")),
    ]
    for code in codes:
        if target := re.match(r"make ([a-z_]+)(?:$| )", code):
            assert target[1] in targets, code
        if command := re.match(r"(?:\$ )?(?:\.venv/bin/)?modcompat ((?:[a-z]+ ?)+)", code):
            words = tuple(command[1].split())
            assert words[:1] in known, code
            if any(len(path) > 1 and path[0] == words[0] for path in known) and len(words) > 1:
                assert words[:2] in known, code


def test_examples_of_the_plugin_are_the_files() -> None:
    shown = [
        block
        for language, block in FENCED.findall((DOCS / "how-to/pytest-plugin.md").read_text())
        if language == "python"
    ]
    files = sorted((PROJECT / "examples/pytest").glob("*.py"))
    assert files
    assert sorted(shown) == sorted(file.read_text().partition("\n")[2] for file in files)


def test_options_that_the_plugin_page_names_exist() -> None:
    page = (DOCS / "how-to/pytest-plugin.md").read_text()
    known = {f"--modcompat-{option.name.removeprefix('--')}" for option in OPTIONS if option.in_tests}
    named = set(re.findall(r"--modcompat-[a-z-]*[a-z]", page))
    assert named
    assert named <= known
    assert set(re.findall(r"MODCOMPAT_(\w+)=", page)) <= {
        option.destination.upper() for option in OPTIONS if option.in_tests
    }


def test_fields_of_the_schemas_are_on_the_page_about_reports() -> None:
    templates = PROJECT / "harness/report/templates"
    matrix, evidence, sweep = (
        json.loads((templates / f"{name}.schema.json").read_text()) for name in ("matrix", "evidence", "sweep")
    )
    fields = {*matrix["properties"], *matrix["$defs"]["cell"]["properties"], *matrix["$defs"]["step"]["properties"]}
    fields |= {*evidence["properties"], *evidence["$defs"]["evidence"]["properties"]}
    fields |= {*sweep["properties"], *sweep["$defs"]["cell"]["properties"]}
    named = set(CODE.findall((DOCS / "reference/reports.md").read_text()))
    assert not fields - named


def test_features_and_boards_are_named() -> None:
    features = (DOCS / "reference/features.md").read_text()
    assert not [name for name in FEATURES if f"`{name}`" not in features]
    boards = (DOCS / "how-to/choose-cells.md").read_text()
    assert not [
        board.id
        for board in BOARDS.values()
        if not {f"`{board.id}`", f"`{board.name}`"} & set(re.findall(r"`[^`]+`", boards))
    ]


def test_pre_commit_runs_what_make_lint_runs() -> None:
    rule = re.search(r"^lint: setup\n((?:\t.+\n)+)", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert rule
    hooks = re.findall(r"entry: (.+?), pass_filenames", (PROJECT / ".pre-commit-config.yaml").read_text())
    assert hooks == [line.strip() for line in rule[1].splitlines()]
