# SPDX-License-Identifier: Apache-2.0
"""A remote of the cache in an OCI registry."""
