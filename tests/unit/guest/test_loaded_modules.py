# SPDX-License-Identifier: Apache-2.0
"""The lines of /proc/modules, whole and torn."""

import pytest

from harness.guest.loaded_modules import LoadedModule, modules_in

LINES = """\
ipvtap 16384 0 - Live 0xffffffffc0123000
ipvlan 65536 1 ipvtap, Live 0xffffffffc0110000 (OE)
held 4096 - - Loading 0xbf000000 (+)
"""


def test_each_line_is_a_module() -> None:
    assert modules_in(LINES) == [
        LoadedModule("ipvtap", 16384, "0", 0, 0xFFFFFFFFC0123000),
        LoadedModule("ipvlan", 65536, "1", 1, 0xFFFFFFFFC0110000),
        LoadedModule("held", 4096, "-", 0, 0xBF000000),
    ]
    assert modules_in("") == []


def test_the_end_is_behind_the_memory() -> None:
    assert LoadedModule("held", 4096, "-", 0, 0xBF000000).end == 0xBF001000
    assert LoadedModule("held", 4096, "-", 0, None).end == 0


@pytest.mark.parametrize(
    ("line", "module"),
    [
        ("torn", LoadedModule("torn", 0, "", None, None)),
        ("torn 4096", LoadedModule("torn", 4096, "", None, None)),
        ("torn 4096 2 - Live", LoadedModule("torn", 4096, "2", 0, None)),
        ("torn 4096 2 - Live 0xbf00zz", LoadedModule("torn", 4096, "2", 0, None)),
        ("\N{REPLACEMENT CHARACTER} x y", LoadedModule("\N{REPLACEMENT CHARACTER}", 0, "x", 0, None)),
    ],
)
def test_a_torn_line_has_less(line: str, module: LoadedModule) -> None:
    assert modules_in(line) == [module]
