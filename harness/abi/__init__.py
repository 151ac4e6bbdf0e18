"""What a module sees of a kernel: files in, facts out. Knows no guest."""
