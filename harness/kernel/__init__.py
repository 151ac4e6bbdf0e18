"""Kernels: architectures and features, source tree, configuration, build. Knows nothing of guests."""
