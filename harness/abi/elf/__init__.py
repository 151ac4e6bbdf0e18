# SPDX-License-Identifier: Apache-2.0
"""Reading .ko and object files: sections, symbols, DWARF, line tables."""
