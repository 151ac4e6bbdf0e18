# SPDX-License-Identifier: Apache-2.0
"""Sweeps: every module of a production kernel, on production and on debug kernels."""
