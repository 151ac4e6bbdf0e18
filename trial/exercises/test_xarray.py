# SPDX-License-Identifier: Apache-2.0
"""test_xarray: the kernel's own test of the XArray, which runs in the module's init."""

import re

from harness import Bench

ANNOUNCES = {"init": "XArray: "}


def exercise(bench: Bench) -> None:
    found = re.search(r"XArray: (\d+) of (\d+) tests passed", bench.log())
    assert found, "the test printed no result"
    bench.check("every test passed", found[1] == found[2] != "0", found[0])
