# SPDX-License-Identifier: Apache-2.0
"""Which structures are in a module's own memory, where the kernel fills them in."""

from unittest.mock import Mock

import pytest

from harness.abi.elf.exported_types import ExportedTypes
from harness.abi.predict.reachability import reachable_structs


@pytest.mark.parametrize(
    ("function", "struct", "own"),
    [
        ("percpu_ref_init", "struct percpu_ref", True),
        ("device_initialize", "struct device", True),
        ("usb_init_urb", "struct urb", True),
        ("get_device", "struct device", False),  # it fills in nothing
        # only the kernel allocates these
        ("setup_udp_tunnel_sock", "struct net", False),
        ("bt_procfs_init", "struct net", False),
    ],
)
def test_an_initialiser_fills_in_what_its_caller_may_have(function: str, struct: str, *, own: bool) -> None:
    types = ExportedTypes({"before_it": ("", f"*{struct}"), function: ("", f"*{struct}")}, {})
    change = Mock(before=Mock(size=8), after=Mock(size=16))
    change.name = struct
    (found,) = reachable_structs(["before_it", function], types, {struct: change})
    assert found.caller_allocated is own
    assert found.via == (function if own else "before_it")
