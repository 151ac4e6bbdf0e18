"""The pytest plugin: options, which cells to run, and the summary at the end."""
