# SPDX-License-Identifier: Apache-2.0
"""Running cells: kernels and guests are prepared once, each module gets a pristine guest, and evidence is kept."""
