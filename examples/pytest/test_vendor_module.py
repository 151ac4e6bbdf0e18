# SPDX-License-Identifier: Apache-2.0
"""Which kernels does a vendor module survive? Put the path of your .ko file in place of the name "locks"."""

import pytest


@pytest.mark.modcompat(kernels=["production", "stock-spinlock"], boards=["q35"])
@pytest.mark.modcompat_requires("CLEAN")
@pytest.mark.modcompat_expects("INERT", kernel="stock-*", until="2099-12-31", reason="the vendor rebuilds it for 4.2")
def test_module_survives(modcompat, modcompat_kernel):
    modcompat.judge("locks", modcompat_kernel)
