# SPDX-License-Identifier: Apache-2.0
"""Predicting what becomes of a module on another kernel, without running it."""
