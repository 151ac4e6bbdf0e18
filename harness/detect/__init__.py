"""Detection: console text -> reports; evidence -> verdict. Takes text and returns facts; knows no QEMU."""
