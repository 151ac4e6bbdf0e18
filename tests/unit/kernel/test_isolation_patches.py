# SPDX-License-Identifier: Apache-2.0
"""Patched sources: the series is applied to a copy, and a patch that does not apply is named."""

import errno
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.kernel import isolation_patches, versions
from harness.kernel.arch import ARM64, RISCV64
from harness.kernel.features import FEATURES
from harness.kernel.isolation_patches import (
    _lost_symbols,
    apply_series,
    isolated,
    patched,
    require_isolation,
    series_for,
)
from harness.kernel.patch_series import series, subject
from harness.kernel.source import KernelSource
from harness.kernel.variants import variant_named, variant_of
from harness.kernel.versions import SERIES, Series
from harness.report.isolation_page import proof_table
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from tests.isolation.test_mechanical import CAUGHT

PATCH = """\
Subject: [PATCH] one line

--- a/lib/file.c
+++ b/lib/file.c
@@ -1,2 +1,2 @@
 first
-second
+changed
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KernelSource:
    tree = tmp_path / "tree"
    (tree / "lib").mkdir(parents=True)
    (tree / "lib/file.c").write_text("first\nsecond\n")
    (tree / "Makefile").write_text("VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 9\n")
    (tmp_path / "series/6.1").mkdir(parents=True)
    (tmp_path / "series/6.1/0001-one.patch").write_text(PATCH)
    monkeypatch.setattr("harness.kernel.patch_series.FOLDER", tmp_path / "series")
    return KernelSource("6.1.9", {"folder": "x"}, lambda: tree)


def test_the_series_is_applied_to_a_copy(source: KernelSource, tmp_path: Path) -> None:
    copy = isolated(source, Store(tmp_path / "cache"))
    assert (copy.tree() / "lib/file.c").read_text() == "first\nchanged\n"
    assert (source.tree() / "lib/file.c").read_text() == "first\nsecond\n"
    assert not (copy.tree() / "Makefile").samefile(source.tree() / "Makefile"), "an editor may write into the original"
    assert copy.original is source
    assert copy.identity != source.identity


def test_a_copy_of_what_is_in_the_cache_takes_no_space(source: KernelSource, tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")

    def build(folder: Path) -> None:
        shutil.copytree(source.tree(), folder, dirs_exist_ok=True)

    kept = store.get_or_build("source", "x", {}, build)
    copy = isolated(KernelSource("6.1.9", {"package": "x"}, lambda: kept), store)
    assert (copy.tree() / "Makefile").samefile(kept / "Makefile")
    assert not (copy.tree() / "lib/file.c").samefile(kept / "lib/file.c")


def test_a_copy_of_a_git_tree_leaves_its_history_there(source: KernelSource, tmp_path: Path) -> None:
    """git appends to files in it, and the release comes from the original."""
    (source.tree() / ".git").mkdir()
    copy = isolated(replace(source, history=source.tree()), Store(tmp_path / "cache"))
    assert not (copy.tree() / ".git").exists()
    assert copy.history == source.tree()


def test_a_tree_that_changes_while_it_is_copied_leaves_no_copy(source: KernelSource, tmp_path: Path) -> None:
    stale = replace(source, stat="of another state")
    with pytest.raises(ModcompatError, match="was changed while it was in use"):
        isolated(stale, Store(tmp_path / "cache")).tree()
    assert not list((tmp_path / "cache/source").glob("[!.]*"))


def test_a_patch_that_does_not_fit_is_named(source: KernelSource, tmp_path: Path) -> None:
    (source.tree() / "lib/file.c").write_text("quite\nanother\n")
    with pytest.raises(ModcompatError, match=r"0001-one\.patch does not apply"):
        isolated(source, Store(tmp_path / "cache")).tree()
    assert not list((tmp_path / "cache/source").glob("[!.]*"))


def test_a_users_tree_gets_the_whole_series_or_nothing(source: KernelSource, tmp_path: Path) -> None:
    store, tree = Store(tmp_path / "cache"), source.tree()
    (tmp_path / "series/6.1/0002-two.patch").write_text(PATCH)  # applies only before the first patch
    with pytest.raises(ModcompatError, match=r"0002-two\.patch does not apply"):
        apply_series(tree, store)
    assert (tree / "lib/file.c").read_text() == "first\nsecond\n"
    (tmp_path / "series/6.1/0002-two.patch").unlink()
    assert [patch.name for patch in apply_series(tree, store)] == ["0001-one.patch"]
    assert (tree / "lib/file.c").read_text() == "first\nchanged\n"


def test_a_patched_source_is_another_one_with_other_patches_or_another_order(
    source: KernelSource, tmp_path: Path
) -> None:
    one, other = tmp_path / "one.patch", tmp_path / "other.patch"
    one.write_text(PATCH)
    other.write_text(PATCH.replace("+changed", "+differently"))
    store = Store(tmp_path / "cache")
    orders: tuple[list[Path], ...] = ([], [one], [other], [one, other], [other, one])
    assert len({str(patched(source, patches, store).identity) for patches in orders}) == len(orders)
    other.write_text(PATCH)
    assert patched(source, [one], store).identity == patched(source, [other], store).identity


def test_a_disk_that_is_full_leaves_a_users_tree_as_it_was(
    source: KernelSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = "Subject: [PATCH] another file\n\n--- /dev/null\n+++ b/lib/new.c\n@@ -0,0 +1 @@\n+new\n"
    (tmp_path / "series/6.1/0002-two.patch").write_text(new)
    tree, copy = source.tree(), shutil.copy2

    def refuse(path: Path, target: Path) -> None:
        copy(path, target)
        if target.name == ".new.c.modcompat":
            raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr(shutil, "copy2", refuse)
    with pytest.raises(ModcompatError, match="No space left on device"):
        apply_series(tree, Store(tmp_path / "cache"))
    monkeypatch.setattr(shutil, "copy2", copy)
    assert sorted(path.name for path in tree.rglob("*")) == ["Makefile", "file.c", "lib"]
    assert (tree / "lib/file.c").read_text() == "first\nsecond\n"
    apply_series(tree, Store(tmp_path / "cache"))
    assert (tree / "lib/new.c").read_text() == "new\n"
    assert sorted(path.name for path in tree.rglob("*")) == ["Makefile", "file.c", "lib", "new.c"]


def test_a_program_that_is_not_installed_is_not_taken_for_a_patch_that_does_not_fit(
    source: KernelSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.support.process.shutil.which", lambda name: None if name == "patch" else name)
    with pytest.raises(ModcompatError, match="patch is not installed"):
        apply_series(source.tree(), Store(tmp_path / "cache"))


def test_a_patch_program_that_was_killed_says_nothing_about_the_patch(
    source: KernelSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "patch").write_text("#!/bin/sh\nkill -9 $$\n")
    (tmp_path / "patch").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(ModcompatError, match="was ended by signal 9"):
        apply_series(source.tree(), Store(tmp_path / "cache"))


def test_a_tree_that_has_the_series_is_told_so(source: KernelSource, tmp_path: Path) -> None:
    kconfig = source.tree() / "kernel/module/Kconfig"
    kconfig.parent.mkdir(parents=True)
    kconfig.write_text("config MODULE_ABI_ISOLATION\n\tbool\n")
    store = Store(tmp_path / "cache")
    with pytest.raises(ModcompatError, match="has an isolation series already"):
        apply_series(source.tree(), store)
    with pytest.raises(ModcompatError, match="has an isolation series already") as raised:
        isolated(source, store).tree()
    assert "applied to a copy" in raised.value.next_step
    theirs = tmp_path / "theirs.patch"
    shutil.copy(tmp_path / "series/6.1/0001-one.patch", theirs)
    assert (patched(source, [theirs], store).tree() / "lib/file.c").read_text() == "first\nchanged\n"
    assert (source.tree() / "lib/file.c").read_text() == "first\nsecond\n"


def test_a_patch_of_the_users_is_not_told_as_one_of_the_series(source: KernelSource, tmp_path: Path) -> None:
    patch = tmp_path / "theirs.patch"
    shutil.copy(tmp_path / "series/6.1/0001-one.patch", patch)
    (source.tree() / "lib/file.c").write_text("of another version\n")
    store = Store(tmp_path / "cache")
    for changed, words in ((isolated(source, store), "the series"), (patched(source, [patch], store), "patch -p1")):
        with pytest.raises(ModcompatError, match="does not apply") as caught:
            changed.tree()
        assert words in caught.value.next_step


def test_a_version_without_a_series_says_which_have_one(source: KernelSource, tmp_path: Path) -> None:
    (source.tree() / "Makefile").write_text("VERSION = 7\nPATCHLEVEL = 2\n")
    with pytest.raises(ModcompatError) as caught:
        isolated(source, Store(tmp_path / "cache"))
    assert "Linux 7.2" in caught.value.problem
    assert "6.1" in caught.value.next_step


def test_an_older_kernel_has_patches_of_its_own(
    source: KernelSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, tree = tmp_path / "series/6.1", source.tree()
    forks = ("6.1.9", "6.1.10", "6.1.100")
    monkeypatch.setattr(versions, "SERIES", {"6.1": Series("6.1", (), (), forks)})
    for before in forks:
        (folder / f"before-{before}").mkdir()
        (folder / f"before-{before}/0001-another.patch").write_text(PATCH.replace("+changed", f"+before {before}"))
    (folder / "0002-two.patch").write_text(PATCH)

    def chosen(version: str) -> list[str]:
        major, minor, sublevel = version.split(".")
        (tree / "Makefile").write_text(f"VERSION = {major}\nPATCHLEVEL = {minor}\nSUBLEVEL = {sublevel}\n")
        return [str(patch.relative_to(folder)) for patch in series_for(source)]

    assert chosen("6.1.8") == ["before-6.1.9/0001-another.patch", "0002-two.patch"]
    assert chosen("6.1.9") == ["before-6.1.10/0001-another.patch", "0002-two.patch"]
    assert chosen("6.1.99") == ["before-6.1.100/0001-another.patch", "0002-two.patch"]
    assert chosen("6.1.100") == ["0001-one.patch", "0002-two.patch"]


def test_an_isolated_kernel_is_compared_with_production_as_it_is() -> None:
    variant = variant_of(FEATURES["spinlock"], isolated=True)
    assert variant.name == "isolated-spinlock"
    assert variant.production == variant_named("production")


def test_the_table_of_a_proof_has_a_line_for_each_kernel() -> None:
    kinds = ("structures", "inlined functions", "macros", "enumerators", "prototypes")
    comparisons = [{"of": kind, "compared": 3, "differences": {}} for kind in kinds]
    comparisons[1] |= {"differences": {"f": "g"}}
    checks = [{"arch": "arm", "kernel": "isolated-all", "comparisons": comparisons}]
    row = {"arch": "arm", "variant": "isolated-all", "verdict": "CLEAN"}
    cells = [row, row, row | {"verdict": "SPLAT"}, row | {"arch": "arm64"}]
    *_, line = proof_table(checks, cells).splitlines()
    same = "3, the same"
    assert (
        line
        == f"| arm | isolated-all | {same} | 3, 1 DIFFER | {same} | {same} | {same} | not compared | 2 CLEAN, 1 SPLAT |"
    )


def test_the_symbols_of_other_patches_stay_when_one_is_taken_out() -> None:
    before = "config OLD\n\tbool\n"
    behind = before + "\nconfig TAKEN\n\tbool\n"
    other = 'config OTHER\n\tstring "Its name"\n\thelp\n\t  Two paragraphs.\n\n\t  Of help.\n'
    whole = f"{behind}\n{other}\nendif\n"
    assert _lost_symbols("config OLD\n\tbool\n\nendif\n", whole, behind, before).strip() == other.strip()
    assert _lost_symbols(f"{before}\n{other}\nendif\n", whole, behind, before) == ""


def test_a_message_makes_no_other_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.kernel.patch_series.FOLDER", tmp_path)
    (tmp_path / "6.1").mkdir()
    patch = tmp_path / "6.1/0001-locks.patch"
    source = KernelSource("6.1.9", {"version": "6.1.9"}, lambda: tmp_path)
    monkeypatch.setattr(isolation_patches, "version_of", lambda _: "6.1.9")

    def key(message: str, change: str) -> str:
        patch.write_text(f"Subject: {message}\n---\n a.c | 1 +\n\ndiff --git a/a.c b/a.c\n+{change}\n")
        return isolated(source, Store(tmp_path / "cache")).identity["isolation"]

    assert key("one", "x") == key("another", "x") != key("one", "y")


def test_an_architecture_without_the_series_is_refused_by_name() -> None:
    require_isolation(ARM64)
    with pytest.raises(ModcompatError, match="the isolation series does not support riscv64") as caught:
        require_isolation(RISCV64)
    assert "x86_64, arm, arm64" in caught.value.next_step


def test_every_patch_has_something_that_misses_it() -> None:
    """Those for the newest version of each series."""
    assert {subject(patch) for it in SERIES.values() for patch in series(f"{it.name}.9999")} == set(CAUGHT)
    ways = ("structure", "function", "enumerator", "symbol", "stray", "undefined", "refused", "elsewhere")
    assert all(sum(bool(getattr(it, way)) for way in ways) == 1 for it in CAUGHT.values())
