# SPDX-License-Identifier: Apache-2.0
"""modcompat: will a binary kernel module survive a debug kernel?"""

__version__ = "0.2.0.dev0"
