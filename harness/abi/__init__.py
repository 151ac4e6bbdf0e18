# SPDX-License-Identifier: Apache-2.0
"""The ABI between a module and a kernel: takes files, returns facts. It does not depend on guests."""
