# SPDX-License-Identifier: Apache-2.0
"""Load the suite's plugin, so that `pytest --module vendor.ko` judges a module from a checkout."""

pytest_plugins = ["harness.plugin.suite_plugin"]
