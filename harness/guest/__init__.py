# SPDX-License-Identifier: Apache-2.0
"""One emulated machine: boards, QEMU, QMP, console, shell and snapshots. It does not depend on verdicts."""
