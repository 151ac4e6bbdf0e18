# SPDX-License-Identifier: Apache-2.0
"""The `modcompat` command: one file for each subcommand."""
