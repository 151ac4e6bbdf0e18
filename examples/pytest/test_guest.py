# SPDX-License-Identifier: Apache-2.0
"""A guest to work with: commands, files, modules, and the reports of its kernel."""

import pytest


@pytest.mark.modcompat(kernels=["production"], boards=["q35"])
def test_module_by_hand(modcompat, modcompat_kernel, modcompat_guest):
    module = modcompat.judge("locks", modcompat_kernel).file  # or the path of your .ko file
    assert modcompat_guest.insmod(module).status == 0
    assert "locks" in modcompat_guest.run("lsmod").text
    modcompat_guest.put(b"42\n", "/tmp/answer")
    assert modcompat_guest.get("/tmp/answer") == b"42\n"
    assert modcompat_guest.rmmod("locks").status == 0
    assert modcompat_guest.reports() == []
