# SPDX-License-Identifier: Apache-2.0
"""Detection: turns console text into kernel reports, and evidence into a verdict. It does not depend on QEMU."""
