"""One emulated machine: boards, QEMU, QMP, console, shell and snapshots. Knows nothing of verdicts."""
