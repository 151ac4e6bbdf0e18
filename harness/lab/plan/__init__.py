# SPDX-License-Identifier: Apache-2.0
"""What is to be run: cells, vendor modules, exercises, settings and the manifest."""
