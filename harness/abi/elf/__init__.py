# SPDX-License-Identifier: Apache-2.0
"""Readers for .ko and object files: sections, symbols, DWARF and line tables."""
