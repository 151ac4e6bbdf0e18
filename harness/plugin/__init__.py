# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin: options, which cells to run, and the summary at the end."""
