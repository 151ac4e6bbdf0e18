# SPDX-License-Identifier: Apache-2.0
"""The structures, inline functions, macros and prototypes of a kernel's headers, found by compiling them."""
