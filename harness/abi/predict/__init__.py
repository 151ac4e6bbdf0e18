# SPDX-License-Identifier: Apache-2.0
"""Prediction of a module's verdict on another kernel, without running it."""
