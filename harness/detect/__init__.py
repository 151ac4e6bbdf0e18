# SPDX-License-Identifier: Apache-2.0
"""Detection: console text to kernel reports, evidence to a verdict. Knows no QEMU."""
