# SPDX-License-Identifier: Apache-2.0
"""Tasks on the workers of a dask cluster: sent by a command, each run in a process of its own, results as they come."""
