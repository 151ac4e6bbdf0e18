# SPDX-License-Identifier: Apache-2.0
"""The manifest: everything has a default, and errors name file, line and key."""

import gzip
import os
import tomllib
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import harness.lab.plan.manifest
from harness.abi.elf.module_file import ModuleFacts
from harness.detect.verdict import Verdict
from harness.guest.boards import BOARDS
from harness.kernel.arch import ARCHITECTURES, X86_64
from harness.kernel.features import FEATURES
from harness.lab.plan.cells import Cell, Flavour
from harness.lab.plan.manifest import TEMPLATE, Manifest, read_manifest
from harness.lab.plan.toml import key_lines, line_of
from harness.lab.plan.vendor_modules import VendorModule
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError

TODAY = date(2026, 11, 23)
CELL = Cell(BOARDS["x86_64-q35"], FEATURES["spinlock"], Flavour.STOCK, VendorModule("vendor"))


def read(folder: Path, text: str) -> Manifest:
    (folder / "modcompat.toml").write_text(text)
    return read_manifest(folder / "modcompat.toml", TODAY)


def complaint(folder: Path, text: str) -> str:
    with pytest.raises(ModcompatError) as caught:
        read(folder, text)
    assert caught.value.problem.startswith(f"{folder}/modcompat.toml:")
    assert "\n" not in caught.value.problem
    return caught.value.problem.removeprefix(f"{folder}/modcompat.toml:")


def test_everything_has_a_default(tmp_path: Path) -> None:
    assert read(tmp_path, "") == Manifest(path=tmp_path / "modcompat.toml")
    assert read(tmp_path, TEMPLATE.read_text()) == Manifest(path=tmp_path / "modcompat.toml")


def test_a_mark_of_an_editor_in_front_is_no_part_of_it(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeff[run]\nmemory = 64\n").memory == 64


def test_the_template_without_its_comment_signs_is_a_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every comment that looks like a key is uncommented, and every key is known."""
    monkeypatch.setattr(harness.lab.plan.manifest, "inspect_module", lambda path: ModuleFacts(path.stem, X86_64))
    lines = [line.removeprefix("# ") for line in TEMPLATE.read_text().splitlines()]
    keys = [line for line in lines if line.startswith("[") or " = " in line.split("#")[0]]
    files = {f"configs/{arch.name}.config": f"CONFIG_{arch.config}=y\n" for arch in ARCHITECTURES.values()}
    files |= dict.fromkeys(("build/vendor.ko", "build/vendor_bus.ko", "firmware/fw.bin", "build/drive"), "")
    files["patches/one.patch"] = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"
    (tmp_path / "build").mkdir()
    (tmp_path / "images").mkdir()
    image = b"\0Linux version 6.1.9 (x) IKCFG_ST" + gzip.compress(b"CONFIG_X86_64=y\n")
    (tmp_path / "images/bzImage").write_bytes(image)
    files |= {"build/rootfs.squashfs": "", "build/System.map": "", "build/.config": "CONFIG_X86_64=y\n"}
    files["build/vexpress-v2p-ca9.dtb"] = ""
    (tmp_path / "build/include/config").mkdir(parents=True)
    (tmp_path / "build/include/generated").mkdir()
    files |= {"build/include/config/kernel.release": "6.1.9\n", "build/include/generated/autoconf.h": ""}
    files["exercises/vendor.py"] = "def exercise(bench): ...\n"
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    manifest = read(tmp_path, "\n".join(keys))
    (module,) = manifest.modules
    assert (module.name, module.parameters, module.arch) == ("vendor", "debug=1", X86_64)
    assert module.needs == (tmp_path / "build/vendor_bus.ko",)
    assert module.firmware == (("vendor/fw.bin", tmp_path / "firmware/fw.bin"),)
    assert module.programs == (("drive", tmp_path / "build/drive"),)
    assert [path.stem for path in manifest.configs] == list(ARCHITECTURES)
    assert manifest.allowed[0].kernel == "stock-spinlock"
    (prebuilt,) = manifest.prebuilt
    assert (prebuilt.release, prebuilt.config.arch, prebuilt.variant.name) == ("6.1.9", X86_64, "production")


def test_production_as_it_ships_is_a_name_or_a_path_relative_to_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    manifest = read(tmp_path, "[kernel]\nproduction = ['debian:linux-image-armmp', 'deploy']")
    assert manifest.production == ("debian:linux-image-armmp", str(tmp_path / "deploy"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[kernel]\nsorce = 'x'\n", "2: kernel.sorce: there is no such key"),
        ("[run]\n\nfeatures = ['spinlok']\n", "3: run.features: there is no feature spinlok"),
        ("[run]\nboards = ['q36']\n", "2: run.boards: there is no board"),
        ("[run]\nflavours = ['vanilla']\n", "2: run.flavours: there is no vanilla"),
        ("[run]\nshared_uart = 'yes'\n", "2: run.shared_uart: must be true or false"),
        ("run = 3\n", "1: run: must be a table: [run]"),
        ("[module]\nfile = 'x.ko'\n", "1: module: must be a table in double brackets: [[module]]"),
        ("# first\n[[module]]\nfile = 'x.ko'\n", "3: module[0].file: there is no file"),
        ("[[module]]\nparameters = ''\n", "1: module[0]: names no module"),
        ("[[module]]\nexercise = ''\n", "2: module[0].exercise: '' is not a path"),
        ("[config]\nx86_64 = ''\n", "2: config.x86_64: '' is not a path"),
        ("[kernel]\nsource = ''\n", "2: kernel.source: '' is not a path"),
        ("[kernel]\nsource = './absent'\n", "2: kernel.source: there is no folder"),
        ("[kernel]\n\nsource = '.'\n", "3: kernel.source: {folder} is not a kernel source tree"),
        ("[kernel]\npatches = '*.toml'\n", "2: kernel.patches: {folder}/modcompat.toml is not a patch"),
        ("[kernel]\npatches = ['absent/*.patch']\n", "2: kernel.patches: no file matches"),
        ("[config]\narm = 'absent'\n", "2: config.arm: there is no file"),
        (f"[kernel]\nsource = '{300 * 'x'}/y'\n", "File name too long"),
        (f"[kernel]\nproduction = '{300 * 'x'}'\n", "File name too long"),
        (f"[run]\nroots = ['{300 * 'x'}']\n", "File name too long"),
        ("[[allow]]\nexpires = 2027-01-01\n", "1: allow[0].reason: an allowed finding needs a reason"),
        ("[[allow]]\nreason = ' '\nexpires = 2027-01-01\n", "2: allow[0].reason: an allowed finding needs a reason"),
        (
            "[[allow]]\nreason = 'x'\nexpires = 2027-01-01\nkernel = 'stock-spinlok'\n",
            "4: allow[0].kernel: there is no stock-spinlok",
        ),
        ("[[allow]]\nreason = 'x'\nexpires = 2027-01-01\nboard = 'q36*'\n", "4: allow[0].board: there is no q36*"),
        ("[[allow]]\nreason = 'x'\n", "1: allow[0].expires: an allowed finding needs a last day"),
        ("[[allow]]\nreason = 'x'\nexpires = '2027'\n", "3: allow[0].expires: must be a date"),
        ("[[allow]]\nreason = 'x'\nexpires = 2026-11-22\n", "3: allow[0].expires: this allowed finding expired on"),
        (
            "[[allow]]\nreason = 'x'\nexpires = 2027-01-01\nverdicts = ['BAD']\n",
            "4: allow[0].verdicts: there is no BAD",
        ),
        ("[[prebuilt]]\n", "1: prebuilt[0].image: a prebuilt kernel needs its image"),
        (
            "[[prebuilt]]\nimage = 'modcompat.toml'\nbuild_tree = '.'\n",
            "3: prebuilt[0].build_tree: {folder} is not the build tree of a kernel: it has no .config and",
        ),
        (
            "[[prebuilt]]\nimage = 'modcompat.toml'\nconfig = 'modcompat.toml'\n",
            "3: prebuilt[0].config: {folder}/modcompat.toml is not a kernel configuration",
        ),
        ("[run]\nroots = ['nowhere']\n", "2: run.roots: there is no "),
        ("[[prebuilt]]\nimage = 'modcompat.toml'\n", "2: prebuilt[0].image: "),
        ("a = [\n", "1: Invalid value"),
        ("[run]\n[run]\n", "2: Cannot declare"),
        ("[kernel]\nsource = 'a'\nsource = 'b'", "3: Cannot overwrite a value"),
        ("[kernel]\nsource = 'a'\nsource = 'b'\n[run]\n", "3: Cannot overwrite a value"),
        (f"a = {'9' * 5000}\n", "digits"),
        ("[run]\nmemory = 999999\n", "2: run.memory: the memory of a guest"),
        ("[run]\nmemory = 64.5\n", "2: run.memory: the memory of a guest"),
        ("[run]\ntimeout_scale = inf\n", "2: run.timeout_scale: timeouts are scaled"),
        (
            "[[prebuilt]]\nimage = 'modcompat.toml'\nconsole = 'tty S0'\n",
            "3: prebuilt[0].console: 'tty S0' is not a tty",
        ),
        ("[[module]]\nfirmware = { '' = 'modcompat.toml' }\n", "'' is not the name of a file below /lib/firmware"),
        ("[[module]]\nfirmware = { '/x' = 'modcompat.toml' }\n", "'/x' is not the name of a file below /lib/firmware"),
        ("[[module]]\nprograms = { 'a/./b' = 'modcompat.toml' }\n", "'a/./b' is not the name of a file below /tools"),
        ("[run]\nmemory = 1\n", "2: run.memory: the memory of a guest is a whole number of 32 to 65536 MiB, not 1"),
        ("[run]\nmemory = true\n", "2: run.memory: must be a number"),
        ("[run]\ntimeout_scale = 1e-9\n", "2: run.timeout_scale: timeouts are scaled by 0.1 to 1000"),
        ("[run]\ntimeout_scale = nan\n", "2: run.timeout_scale: timeouts are scaled by 0.1 to 1000"),
        ("[kernel]\nallow_config_changes = ['NOT ONE']\n", "2: kernel.allow_config_changes: not an option of"),
        ("[[module]]\nparameters = '''a\nb'''\n", "module[0].parameters: parameters of a module must be one line"),
        ("[[module]]\ndepends = ['modcompat.toml']\n", "2: module[0].depends: "),
        ("[module.firmware]\n", "1: module: must be a table in double brackets"),
        (
            "[[module]]\nfirmware = { '../x' = 'modcompat.toml' }\n",
            "'../x' is not the name of a file below /lib/firmware",
        ),
    ],
)
def test_a_mistake_is_told_with_line_and_key(text: str, words: str, tmp_path: Path) -> None:
    assert words.replace("{folder}", str(tmp_path)) in complaint(tmp_path, text)


def test_a_root_file_system_that_is_none_is_told_with_its_place_once_it_is_read(tmp_path: Path) -> None:
    manifest = read(tmp_path, "[run]\nroots = 'modcompat.toml'\n")
    with pytest.raises(ModcompatError) as caught:
        manifest.userlands([], Store(tmp_path / "cache"))
    file = tmp_path / "modcompat.toml"
    assert caught.value.problem == f"{file}:2: run.roots: {file} is not a root file system in a known format"
    with pytest.raises(ModcompatError, match=f"^{file} is not a root"):
        manifest.userlands([file], Store(tmp_path / "cache"))


def test_a_configuration_for_another_architecture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("CONFIG_X86_64=y\n")
    assert "2: config.arm: " in complaint(tmp_path, "[config]\narm = 'x'\n")


@pytest.mark.parametrize(
    "text",
    [
        "[kernel]\nallow_config_changes = [5]\n",
        "[[module]]\nparameters = 5\n",
        "[[prebuilt]]\nimage = 5\n",
        "[[prebuilt]]\nimage = 'modcompat.toml'\nbuild_tree = 'absent'\n",
        "[[prebuilt]]\nimage = 'modcompat.toml'\nshared_uart = 5\n",
    ],
    ids=["list", "text", "path", "beside-an-image", "flag-beside-an-image"],
)
def test_the_place_of_a_mistake_is_told_once(text: str, tmp_path: Path) -> None:
    assert complaint(tmp_path, text).count("modcompat.toml") == 0  # complaint() removes the first one


def test_what_a_module_depends_on_is_for_its_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file's name begins with its architecture."""
    monkeypatch.setattr(
        harness.lab.plan.manifest,
        "inspect_module",
        lambda path: ModuleFacts(path.stem, ARCHITECTURES[path.stem.split("-")[0]]),
    )
    for name in ("arm-vendor.ko", "arm-bus.ko", "x86_64-bus.ko"):
        (tmp_path / name).touch()
    text = "[[module]]\nfile = 'arm-vendor.ko'\ndepends = '{}'\n"
    (module,) = read(tmp_path, text.format("arm-bus.ko")).modules
    assert module.needs == (tmp_path / "arm-bus.ko",)
    assert "3: module[0].depends: " in complaint(tmp_path, text.format("x86_64-bus.ko"))
    assert "arm-vendor.ko is loaded before itself" in complaint(tmp_path, text.format("./arm-vendor.ko"))


def test_what_comes_to_more_than_a_guest_can_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.lab.plan.manifest, "inspect_module", lambda path: ModuleFacts(path.stem, X86_64))
    for name, size in {"vendor.ko": 1, "small": 1, "half": 600 << 20, "other": 500 << 20}.items():
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, size)
    text = "[[module]]\nfile = 'vendor.ko'\n{}\n"
    assert read(tmp_path, text.format("firmware = { a = 'small', b = 'half' }")).modules
    told = complaint(tmp_path, text.format("firmware = { a = 'small', b = 'half' }\nprograms = { c = 'other' }"))
    assert told.startswith("3: module[0].firmware: firmware and programs take 1100 MB, ")
    assert f"most of it {tmp_path}/half, " in told
    assert "3: module[0].programs: " in complaint(tmp_path, text.format("programs = { b = 'half', c = 'half' }"))


@pytest.mark.parametrize("key", ["module", "prebuilt"])
def test_two_of_one_name_are_refused(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.lab.plan.manifest, "inspect_module", lambda path: ModuleFacts(path.stem, X86_64))
    (tmp_path / "vendor.ko").touch()
    (tmp_path / "bzImage").write_bytes(b"\0Linux version 6.1.9 (x) IKCFG_ST" + gzip.compress(b"CONFIG_X86_64=y\n"))
    entry = {"module": "[[module]]\nfile = 'vendor.ko'\n", "prebuilt": "[[prebuilt]]\nimage = 'bzImage'\n"}[key]
    assert len(read(tmp_path, entry).modules + read(tmp_path, entry).prebuilt) == 1
    assert f"4: {key}[1]: two are called" in complaint(tmp_path, f"{entry}\n{entry}")


def test_a_finding_is_allowed_up_to_its_last_day(tmp_path: Path) -> None:
    text = f"[[allow]]\nkernel = 'stock-*'\nreason = 'known'\nexpires = {TODAY}\nverdicts = ['INERT']\n"
    manifest = read(tmp_path, text)
    allowed = manifest.allowance(CELL, Verdict.INERT)
    assert allowed is not None
    assert (allowed.reason, allowed.line) == ("known", 1)
    assert manifest.allowance(CELL, Verdict.SPLAT) is None
    other = Cell(CELL.board, CELL.feature, Flavour.ISOLATED, CELL.module)
    assert manifest.allowance(other, Verdict.INERT) is None


def test_what_is_allowed_and_about_no_cell_is_known(tmp_path: Path) -> None:
    entry = "[[allow]]\nreason = 'known'\nexpires = 2027-01-01\nmodule = '{}'\n"
    manifest = read(tmp_path, entry.format("vend*") + entry.format("vendro"))
    assert [allowance.line for allowance in manifest.idle([CELL])] == [5]


def test_nothing_allows_a_cell_that_proves_nothing(tmp_path: Path) -> None:
    manifest = read(tmp_path, "[[allow]]\nreason = 'known'\nexpires = 2027-01-01\n")
    assert manifest.allowance(CELL, Verdict.DIED) is not None
    assert manifest.allowance(CELL, Verdict.INVALID) is None


def test_keys_are_found_in_arrays_of_tables_and_behind_long_texts() -> None:
    text = 'a.b = 1\n[[m]]\nx = """\ny = 2\n"""\n[m.n]\nz = 1\n[[m]]\nx = 3\n'
    lines = key_lines(text)
    assert lines[("a", "b")] == 1
    assert lines[("m", 0, "x")] == 3
    assert ("m", 0, "y") not in lines
    assert lines[("m", 0, "n", "z")] == 7
    assert lines[("m", 1, "x")] == 9
    assert line_of(lines, ("m", 1, "absent")) == 8


_SLOW = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)
_KEYS = st.sampled_from(
    ["kernel", "config", "run", "module", "allow", "file", "source", "x86_64", "expires", "boards", "firmware", "x y"]
)
_TEXTS = st.text("ab*[\0 ~/é", max_size=8)
_VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(-9, 9), st.floats(allow_nan=False), _TEXTS, st.dates()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=3)),
    max_leaves=8,
)


def as_toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return '"' + "".join(f"\\U{ord(char):08x}" for char in value if not 0xD800 <= ord(char) < 0xE000) + '"'
        case list():
            return "[" + ", ".join(map(as_toml, value)) + "]"
        case dict():
            return "{" + ", ".join(f'"{key}" = {as_toml(entry)}' for key, entry in value.items()) + "}"
    return str(value)


@given(values=st.dictionaries(_KEYS, _VALUES, max_size=4))
@settings(max_examples=150, suppress_health_check=_SLOW)
def test_whatever_a_manifest_says_is_taken_or_refused_with_one_clear_line(
    values: dict[str, object], tmp_path: Path
) -> None:
    text = "".join(f'"{key}" = {as_toml(value)}\n' for key, value in values.items())
    tomllib.loads(text)
    problem = refusal(tmp_path, text.encode())
    assert problem is None or (problem.startswith(f"{tmp_path}/modcompat.toml:") and "\n" not in problem)


@given(content=st.binary(max_size=200))
@settings(max_examples=100, suppress_health_check=_SLOW)
def test_bytes_that_are_no_manifest_are_refused_with_one_clear_line(content: bytes, tmp_path: Path) -> None:
    problem = refusal(tmp_path, content)
    assert problem is None or (problem.startswith(f"{tmp_path}/modcompat.toml") and "\n" not in problem)


def refusal(folder: Path, content: bytes) -> str | None:
    """The error for a manifest, or None. Any exception but ours would give the user a traceback."""
    path = folder / "modcompat.toml"
    path.write_bytes(content)
    try:
        read_manifest(path, TODAY)
    except ModcompatError as error:
        return error.problem
    return None
