# SPDX-License-Identifier: Apache-2.0
"""Comparing two kernels: which structures differ, and which differences a module cannot notice."""
