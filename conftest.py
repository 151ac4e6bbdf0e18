"""Wires the plugin in; everything is in harness/plugin.py."""

pytest_plugins = ["harness.plugin"]
