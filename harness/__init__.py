"""modcompat: will a binary kernel module survive a debug kernel?"""
