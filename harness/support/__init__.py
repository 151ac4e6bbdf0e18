# SPDX-License-Identifier: Apache-2.0
"""What every room stands on: errors, text, processes, progress, paths and the cache. Knows nothing of kernels."""
