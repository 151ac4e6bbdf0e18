# SPDX-License-Identifier: Apache-2.0
"""Deciding what to run (plan), running it (execution), and testing ourselves and the patches (validation)."""
