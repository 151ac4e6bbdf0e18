# SPDX-License-Identifier: Apache-2.0
"""Comparison of two kernels: the structures that differ, and the differences that no module can notice."""
