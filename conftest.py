"""Wires the plugin in; everything is in harness/plugin/hooks.py."""

pytest_plugins = ["harness.plugin.hooks"]
