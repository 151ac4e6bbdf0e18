# SPDX-License-Identifier: Apache-2.0
"""The mailbox holds the files of one cell, in the form that the guest's program reads."""

import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.guest.mailbox import Mailbox, size_for
from harness.support.errors import ModcompatError
from harness.support.paths import IMAGES
from tests.unit.tools import need

AGENT = IMAGES / "guest/agent"
FILES = {"modules/veth.ko": b"\x7fELF" + bytes(5000), "modules/needed/bus.ko": b"bus", "modules/empty.ko": b""}


@pytest.fixture(scope="module")
def receive(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The guest's program, built to read a file in place of the device's memory."""
    need("gcc")
    program = tmp_path_factory.mktemp("receive") / "receive"
    source = (AGENT / "receive.c").read_text()
    devices = program.parent / "devices"
    device = devices / "0000:00:03.0"
    device.mkdir(parents=True)
    for name, text in (("vendor", "0x1af4"), ("device", "0x1110"), ("enable", "0")):
        (device / name).write_text(text)
    changed = program.with_suffix(".c")
    changed.write_text(source.replace("/sys/bus/pci/devices", str(devices)))
    subprocess.run(
        ["gcc", "-Wall", "-Werror", "-Dreceive=main", f"-I{AGENT}", "-o", str(program), str(changed)], check=True
    )
    return [str(program), str(device / "resource2")]


def test_the_guest_reads_what_was_posted_last(receive: list[str], tmp_path: Path) -> None:
    program, memory = receive
    mailbox = Mailbox(Path(memory), size_for(1))
    mailbox.make()
    mailbox.post({"modules/other.ko": b"x" * 100_000})
    mailbox.post(FILES)
    subprocess.run([program, str(tmp_path)], check=True)
    found = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == FILES


@pytest.mark.parametrize("damage", [b"\0\0\0\0", b"mcmt\xff\xff\xff\x7f"])
def test_the_guest_reports_a_mailbox_without_files(receive: list[str], tmp_path: Path, damage: bytes) -> None:
    program, memory = receive
    mailbox = Mailbox(Path(memory), size_for(1))
    mailbox.make()
    with Path(memory).open("r+b") as file:
        file.write(damage)
    done = subprocess.run([program, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "the mailbox is empty\n")


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path / "mailbox", 1 << 16)
    mailbox.make()
    with pytest.raises(ModcompatError, match=r"big\.ko do not fit"):
        mailbox.post({"big.ko": bytes(1 << 16)})


def test_a_name_that_the_guest_could_not_end_is_refused(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path / "mailbox", 1 << 16)
    mailbox.make()
    mailbox.post({"x" * 247: b"content"})
    assert mailbox.posted() == {"x" * 247: b"content"}
    with pytest.raises(ModcompatError, match="is longer than 247 bytes"):
        mailbox.post({"x" * 248: b""})


@pytest.mark.parametrize("most", [0, 1, 20 << 20, 31 << 20, 32 << 20, 100 << 20])
def test_the_size_is_a_power_of_two_with_room(most: int) -> None:
    size = size_for(most)
    assert size & (size - 1) == 0
    assert size > most


def test_what_was_posted_last_is_read_again(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path / "mailbox", size_for(1))
    mailbox.make()
    with pytest.raises(ModcompatError, match="damaged"):
        mailbox.posted()
    mailbox.post({"modules/first.ko": b"first"})
    mailbox.post(FILES)
    assert mailbox.posted() == FILES
    with mailbox.path.open("r+b") as file:
        file.truncate(6000)
    with pytest.raises(ModcompatError, match="damaged"):
        mailbox.posted()
    with pytest.raises(ModcompatError, match="cannot read"):
        Mailbox(tmp_path / "none", 1).posted()


@settings(max_examples=200)
@given(head=st.binary(max_size=600), count=st.integers(0, 2**32 - 1), whole=st.booleans())
def test_a_damaged_mailbox_is_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, head: bytes, count: int, *, whole: bool
) -> None:
    path = tmp_path_factory.mktemp("mailbox") / "mailbox"
    path.write_bytes((0x746D636D.to_bytes(4, "little") + count.to_bytes(4, "little") if whole else b"") + head)
    with suppress(ModcompatError):
        Mailbox(path, 4096).posted()
