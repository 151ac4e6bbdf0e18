"""Reading .ko and object files: sections, symbols, DWARF, line tables."""
