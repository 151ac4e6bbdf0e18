# SPDX-License-Identifier: Apache-2.0
"""Kernels: architectures, features, source trees, configurations and builds. It does not depend on guests."""
