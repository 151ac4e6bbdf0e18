# SPDX-License-Identifier: Apache-2.0
"""Wires the plugin in; everything is in harness/plugin/hooks.py."""

pytest_plugins = ["harness.plugin.hooks"]
