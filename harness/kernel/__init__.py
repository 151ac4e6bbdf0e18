# SPDX-License-Identifier: Apache-2.0
"""Kernels: architectures and features, source tree, configuration, build. Knows nothing of guests."""
