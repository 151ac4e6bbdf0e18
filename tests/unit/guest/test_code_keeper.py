# SPDX-License-Identifier: Apache-2.0
"""The plugin of QEMU tells whether all code that was translated is still in the guest's memory."""

import ctypes
import mmap
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.guest.kept_code import KeptCode
from tests.unit.guest.plugin_library import build_library, install

PAGE = 4096
KERNEL, MODULES, BEHIND, USER = 0xFFFFFFFF81000000, 0xFFFFFFFFA0000000, 0xFFFFFFFFFF000000, 0x400000
AREA = (MODULES, BEHIND)


class Translator:
    """The plugin in a QEMU that translates single instructions of a memory of four pages."""

    def __init__(self, library: Path, folder: Path) -> None:
        own = Path(shutil.copy(library, folder))  # each has variables of its own
        self._library = ctypes.CDLL(str(own))
        self.memory = mmap.mmap(-1, 4 * PAGE)
        self._place = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.kept = KeptCode(own, seconds=10.0)
        install(self._library, self.kept.options())

    def translate(self, offset: int, address: int, size: int = 4, read: bytes | None = None) -> None:
        """read: the bytes that are translated; None for those in the memory."""
        read = self.memory[offset : offset + size] if read is None else read
        place = ctypes.c_void_p(self._place + offset)
        self._library.translate(place, read, ctypes.c_uint64(address), ctypes.c_size_t(size))

    def translate_elsewhere(self) -> None:
        """Translate an instruction that is not in memory."""
        self._library.translate(None, bytes(4), ctypes.c_uint64(KERNEL), ctypes.c_size_t(4))

    def flush(self) -> None:
        self._library.flush()

    def is_valid(self, area: tuple[int, int] = AREA) -> bool:
        return self.kept.is_valid(area)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_library("kept_code", "fake_translator.c", tmp_path_factory.mktemp("plugin"))


@pytest.fixture
def translator(library: Path, tmp_path: Path) -> Iterator[Translator]:
    made = Translator(library, tmp_path)
    with closing(made.kept):
        yield made
        made.kept.theirs.detach()  # the plugin's thread may be about to read from it, and the number would be reused


def test_nothing_translated_is_valid(translator: Translator) -> None:
    assert translator.is_valid()


@pytest.mark.parametrize("address", [KERNEL, USER, MODULES - 4, BEHIND])
def test_code_that_changed_is_not_valid(translator: Translator, address: int) -> None:
    translator.translate(100, address)
    assert translator.is_valid()
    translator.memory[103] = 1
    assert not translator.is_valid()


def test_changed_code_is_not_valid_until_qemu_throws_it_away(translator: Translator) -> None:
    translator.translate(100, KERNEL)
    translator.memory[100] = 1
    assert not translator.is_valid()
    assert not translator.is_valid()
    translator.flush()
    assert translator.is_valid()


def test_code_that_changed_while_it_was_translated_is_not_valid(translator: Translator) -> None:
    translator.translate(100, KERNEL, read=b"\1\0\0\0")
    assert not translator.is_valid()


def test_bytes_that_are_not_code_may_change(translator: Translator) -> None:
    translator.translate(100, KERNEL)
    translator.memory[99] = translator.memory[104] = 1
    assert translator.is_valid()


def test_modules_may_change(translator: Translator) -> None:
    translator.translate(100, MODULES)
    translator.memory[100] = 1
    assert translator.is_valid()
    translator.memory[100] = 2
    assert translator.is_valid()


def test_modules_may_not_change_if_nobody_knows_where_they_are(translator: Translator) -> None:
    translator.translate(100, MODULES)
    translator.memory[100] = 1
    assert not translator.is_valid((0, 0))


@pytest.mark.parametrize("addresses", [(MODULES, USER), (USER, MODULES)])
def test_memory_that_held_a_program_as_well_may_not_change(translator: Translator, addresses: tuple[int, int]) -> None:
    for address in addresses:
        translator.translate(100, address)
    translator.memory[100] = 1
    assert not translator.is_valid()


def test_code_that_is_translated_again_is_compared_with_what_it_is_now(translator: Translator) -> None:
    translator.translate(100, KERNEL)
    translator.memory[100] = 1
    translator.translate(100, KERNEL)
    assert translator.is_valid()
    translator.memory[100] = 0
    assert not translator.is_valid()


def test_an_instruction_across_two_pages_is_compared_in_the_first(translator: Translator) -> None:
    translator.translate(PAGE - 1, KERNEL + PAGE - 1, size=5)
    translator.memory[PAGE] = 1
    assert translator.is_valid()
    translator.memory[PAGE - 1] = 1
    assert not translator.is_valid()


def test_what_qemu_threw_away_does_not_count(translator: Translator) -> None:
    translator.translate(100, KERNEL)
    translator.flush()
    translator.memory[100] = 1
    assert translator.is_valid()


def test_code_that_is_not_in_memory_does_not_count(translator: Translator) -> None:
    translator.translate_elsewhere()
    assert translator.is_valid()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 4 * PAGE - 16), st.integers(1, 15)), max_size=20),
    st.lists(st.integers(0, 4 * PAGE - 1), max_size=5),
)
def test_it_agrees_with_a_plain_comparison(
    translator: Translator, code: list[tuple[int, int]], changes: list[int]
) -> None:
    translator.flush()
    known = set()
    for offset, size in code:
        translator.translate(offset, KERNEL + offset, size)
        known |= {at for at in range(offset, offset + size) if at // PAGE == offset // PAGE}
    for at in set(changes):
        translator.memory[at] ^= 0xFF
    assert translator.is_valid() == known.isdisjoint(changes)


def test_the_end_of_qemu_is_an_error(translator: Translator) -> None:
    translator.kept.theirs.shutdown(2)
    with pytest.raises(ConnectionError):
        translator.is_valid()
