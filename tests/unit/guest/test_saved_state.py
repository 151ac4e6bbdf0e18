# SPDX-License-Identifier: Apache-2.0
"""The sections of the CPUs are found in a saved state, and left out without a change of anything else."""

import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.guest.saved_state import SavedState, UnknownStateError

CLUSTER = 1 << 9
ENTRIES = CLUSTER // 8
TIMER = b"\x04" + struct.pack(">I", 2) + b"\x05timer" + bytes(8) + b"\x7e" + struct.pack(">I", 2)


def section(cpu: int, *, halted: int = 1, interrupts: int = 0, more: bytes = b"", version: int = 1) -> bytes:
    number = struct.pack(">I", 4 + cpu)
    fields = struct.pack(">IIII", cpu, version, halted, interrupts)
    return b"\x04" + number + b"\x0acpu_common" + fields + more + b"\x7e" + number


def image(path: Path, state: bytes, snapshots: int = 1) -> Path:
    """A qcow2 image of a disk of one cluster with a saved state: header, snapshot, tables, then the state."""
    clusters = -(-len(state) // CLUSTER)
    header = struct.pack(">I16xIQ28xIQ", 0x514649FB, 9, CLUSTER, snapshots, CLUSTER)
    snapshot = struct.pack(">QI20xIIQ", 2 * CLUSTER, 2, 0, 8, len(state))
    first = struct.pack(">QQ", 0, 3 * CLUSTER | 1 << 63)
    second = struct.pack(
        f">{ENTRIES}Q", *((4 + number) * CLUSTER if number < clusters else 0 for number in range(ENTRIES))
    )
    parts = [header, snapshot, first, second]
    path.write_bytes(b"".join(part.ljust(CLUSTER, b"\0") for part in parts) + state.ljust(clusters * CLUSTER, b"\0"))
    return path


def state_in(path: Path) -> bytes:
    return path.read_bytes()[4 * CLUSTER :]


def test_sections_of_idle_cpus_are_left_out(tmp_path: Path) -> None:
    memory, end = b"\x0acpu_common" + bytes(range(256)) * 4, b"\0\x06" + bytes(100)
    made = image(tmp_path / "state", memory + section(0) + TIMER + section(1) + end)
    before = made.read_bytes()
    state = SavedState(made)
    assert state.can_leave_out_cpus
    for _ in range(2):
        state.leave_out_cpus()
        assert state_in(made).startswith(memory + TIMER + end + bytes(2 * len(section(0))))
        assert not SavedState(made).can_leave_out_cpus
        state.put_cpus_back()
        assert made.read_bytes() == before


@pytest.mark.parametrize(
    ("first", "second", "can"),
    [
        (section(0), section(1), True),
        (section(0, halted=0), section(1), True),  # the first CPU runs after a reset
        (section(0), section(1, halted=0), False),
        (section(0, interrupts=0x10), section(1), False),
        (section(0), section(1, interrupts=2), False),
        (section(0), section(1, more=b"\x05\x1bcpu_common/exception_index"), False),
        (section(0), section(2), False),
        (section(0), b"", True),
        (b"", b"", False),
    ],
)
def test_all_cpus_must_be_idle_and_known(tmp_path: Path, first: bytes, second: bytes, *, can: bool) -> None:
    assert SavedState(image(tmp_path / "state", bytes(1000) + first + second + b"\0")).can_leave_out_cpus is can


def test_another_version_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(UnknownStateError, match="version 2"):
        SavedState(image(tmp_path / "state", section(0, version=2)))


def test_another_file_is_unknown(tmp_path: Path) -> None:
    for content in (b"", b"no image", bytes(1000)):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(UnknownStateError):
            SavedState(tmp_path / "file")
    with pytest.raises(UnknownStateError):
        SavedState(image(tmp_path / "file", section(0), snapshots=2))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_image_raises_nothing_else(tmp_path: Path, data: st.DataObject) -> None:
    made = image(tmp_path / "state", bytes(600) + section(0) + TIMER + section(1) + b"\0")
    content = bytearray(made.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        header, snapshot = st.integers(0, 71), st.integers(CLUSTER, CLUSTER + 47)
        place = data.draw(header | snapshot | st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    made.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with suppress(UnknownStateError):
        SavedState(made).leave_out_cpus()
