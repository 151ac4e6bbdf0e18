# SPDX-License-Identifier: Apache-2.0
"""Tests of the isolation series and of the detector: ABI comparison, deliberate bugs, self tests, LKDTM."""
