# SPDX-License-Identifier: Apache-2.0
"""Cells of a run as jobs for laboratories with real boards: LAVA and labgrid."""
