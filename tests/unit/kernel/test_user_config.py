# SPDX-License-Identifier: Apache-2.0
"""User-supplied production configurations: reading them, and the options that the harness needs."""

import gzip
from pathlib import Path

import pytest

from harness.guest.boards import BOARDS
from harness.kernel import required_options
from harness.kernel.arch import ARCHITECTURES, ARM, X86_64, Architecture
from harness.kernel.isolation_options import blocking_options
from harness.kernel.kconfig import in_fragments, parse
from harness.kernel.user_config import production_has, read_config
from harness.kernel.variants import PRODUCTION
from harness.kernel.versions import SERIES
from harness.support.errors import ModcompatError

# Symbols that Kconfig selects for our fragments, which do not name them.
IMPLIED = {"ARM_GIC": "y", "ARM_PSCI": "y"}


def ours(arch: Architecture) -> dict[str, str]:
    return in_fragments(PRODUCTION.fragments(arch)) | IMPLIED


def written(folder: Path, text: str) -> Path:
    file = folder / "production.config"
    file.write_text(text)
    return file


@pytest.mark.parametrize("arch", ARCHITECTURES.values(), ids=lambda arch: arch.name)
def test_our_own_production_has_what_the_harness_needs(arch: Architecture) -> None:
    assert required_options.missing(ours(arch), arch.required_options) == []
    needs = [need for board in BOARDS.values() if board.arch is arch for need in board.required_options]
    assert required_options.unmet(ours(arch), needs) == []


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.id)
def test_our_own_production_has_a_channel_for_commands(board: object) -> None:
    board = BOARDS[board.id]  # type: ignore[attr-defined]
    assert board.channel.lacks(ours(board.arch)) == []


def test_what_is_missing_is_told_with_its_reason_and_can_be_added() -> None:
    config = ours(X86_64) | {"DEVTMPFS": "n", "MODULE_SIG_FORCE": "y", "SYSTEM_TRUSTED_KEYS": '"debian/certs.pem"'}
    missing = required_options.missing(config, X86_64.required_options)
    text = required_options.listed(missing)
    assert "CONFIG_DEVTMPFS=y: the command channel is a device node" in text
    assert "# CONFIG_MODULE_SIG_FORCE is not set: " in text
    assert required_options.missing(config | required_options.additions(missing), X86_64.required_options) == []


def test_one_option_may_do_for_another() -> None:
    config = ours(X86_64) | {"X86_MPPARSE": "n"}
    assert [need.symbol for need in required_options.missing(config, X86_64.required_options)] == ["X86_MPPARSE"]
    assert required_options.missing(config | {"ACPI": "y"}, X86_64.required_options) == []


def test_a_driver_that_is_a_module_is_no_channel() -> None:
    board = BOARDS["arm-virt"]
    assert board.channel.lacks(ours(ARM) | {"VIRTIO_CONSOLE": "m"}) == ["VIRTIO_CONSOLE"]
    assert BOARDS["x86_64-q35"].channel.lacks({"SERIAL_8250_RUNTIME_UARTS": "1"}) == ["SERIAL_8250_RUNTIME_UARTS"]


def test_the_architecture_is_read_from_the_file(tmp_path: Path) -> None:
    users = read_config(written(tmp_path, "CONFIG_ARM=y\nCONFIG_MODVERSIONS=y\n"))
    assert (users.arch, users.has_versions) == (ARM, True)


def test_it_may_be_a_copy_of_what_the_kernel_has_in_proc(tmp_path: Path) -> None:
    file = tmp_path / "config.gz"
    file.write_bytes(gzip.compress(b"CONFIG_ARM=y\n"))
    assert read_config(file).text == "CONFIG_ARM=y\n"
    for packed in (gzip.compress(b"CONFIG_ARM=y\n" * 9)[:-9], gzip.compress(b"CONFIG_ARM=y\n" * (1 << 19))):
        file.write_bytes(packed)
        with pytest.raises(ModcompatError, match="contains no configuration"):
            read_config(file)


def test_a_mark_of_an_editor_in_front_is_no_part_of_it(tmp_path: Path) -> None:
    file = tmp_path / "production.config"
    file.write_bytes(b"\xef\xbb\xbfCONFIG_ARM=y\nCONFIG_MODVERSIONS=y\n")
    assert read_config(file).text == "CONFIG_ARM=y\nCONFIG_MODVERSIONS=y\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("CONFIG_ARM=y\nCONFIG_X86_64=y\n", "is for x86_64 and arm at once: CONFIG_X86_64=y and CONFIG_ARM=y"),
        ("", "sets no CONFIG_ symbol"),
        ("garbage", "sets no CONFIG_ symbol"),
        ("\0\xff garbage", "contains no configuration"),
        ("CONFIG_X86_32=y\n", "no known architecture"),
        ("CONFIG_LOONGARCH=y\nCONFIG_64BIT=y\n", "no known architecture"),
    ],
)
def test_what_is_no_configuration_of_a_board_is_refused(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ModcompatError, match=words):
        read_config(written(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModcompatError, match=r"absent\.config: No such file"):
        read_config(tmp_path / "absent.config")


@pytest.mark.parametrize("version", SERIES)
def test_what_is_not_isolated_is_what_the_series_says(version: str) -> None:
    tags = blocking_options(f"{version}.7")
    assert {"USB_MON", "DEBUG_LOCK_ALLOC", "KASAN_HW_TAGS", "PREEMPT_COUNT", "DEBUG_FS"} <= set(tags)
    assert not {"KASAN", "DETECT_HUNG_TASK", "FAULT_INJECTION"} & set(tags), "they are hidden"
    assert "DEBUG_SPINLOCK" not in tags, "a tag that refuses nothing"
    assert ("MEM_ALLOC_PROFILING" in tags) == (version == "6.12"), "it is new in 6.10"


def test_the_series_is_told_what_production_has_that_is_not_isolated() -> None:
    config = parse("CONFIG_DEBUG_FS=y\nCONFIG_USB_MON=m\n")
    told = production_has(config, X86_64, "6.1.192")
    assert told["MODULE_ABI_PRODUCTION_OPTIONS"] == '"USB_MON DEBUG_FS"'


def test_an_option_that_adds_nothing_is_not_there() -> None:
    symbol = "MODULE_ABI_PRODUCTION_HAS_UBSAN"
    assert production_has(parse("CONFIG_UBSAN=y\n"), X86_64, "6.1.192")[symbol] == "y"
    assert production_has(parse("CONFIG_UBSAN=y\nCONFIG_UBSAN_TRAP=y\n"), X86_64, "6.1.192")[symbol] == "n"


def test_the_series_is_told_what_production_has() -> None:
    config = parse("CONFIG_TRACING=y\nCONFIG_PERF_EVENTS=y\nCONFIG_KUNIT=m\n# CONFIG_KPROBES is not set\n")
    prefix = "MODULE_ABI_PRODUCTION_"
    told = production_has(config, X86_64, "6.1.192")
    assert told.pop(f"{prefix}OPTIONS") == '""'
    assert {symbol for symbol, value in told.items() if value == "y"} == {f"{prefix}HAS_TRACING", f"{prefix}HAS_KUNIT"}
    for symbol in ("KPROBES", "DEBUG_MUTEXES", "KASAN", "SCHEDSTATS"):
        assert told[f"{prefix}HAS_{symbol}"] == "n", "said as well, so that no default matters"
    assert f"{prefix}HAS_PERF_EVENTS" not in told, "x86 always has it"
    assert production_has(config, ARM, "6.1.192")[f"{prefix}HAS_PERF_EVENTS"] == "y"
    assert f"{prefix}HAS_USER_EVENTS" in production_has(config, X86_64, "6.12.117")
