# SPDX-License-Identifier: Apache-2.0
"""What a kernel's headers define: structures, inline functions, macros and prototypes, found by compiling them."""
