"""Detection: console text to kernel reports, evidence to a verdict. Knows no QEMU."""
