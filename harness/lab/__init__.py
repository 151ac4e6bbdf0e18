"""Deciding what to run (plan), running it (execution), and testing ourselves and the patches (validation)."""
