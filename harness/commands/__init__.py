"""The commands of `modcompat`, a module each; harness/cli.py puts them together."""
