"""Comparing two kernels: which structures differ, and which differences a module cannot notice."""
