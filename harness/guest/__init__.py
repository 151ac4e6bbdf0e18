"""Guests: a kernel booted on an emulated board, with a shell. Knows nothing of verdicts."""
