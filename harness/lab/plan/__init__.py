# SPDX-License-Identifier: Apache-2.0
"""The plan of a run: cells, vendor modules, exercises, settings and the manifest."""
