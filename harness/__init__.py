# SPDX-License-Identifier: Apache-2.0
"""modcompat: will a binary kernel module survive a debug kernel?"""
