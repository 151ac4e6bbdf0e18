# SPDX-License-Identifier: Apache-2.0
"""What every other room uses: errors, text, processes, progress, paths and the cache. Nothing here is about kernels."""
