# SPDX-License-Identifier: Apache-2.0
"""What a module sees of a kernel: files in, facts out. Knows no guest."""
