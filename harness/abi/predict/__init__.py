"""Predicting what becomes of a module on another kernel, without running it."""
