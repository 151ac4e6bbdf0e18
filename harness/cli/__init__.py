"""The `modcompat` command: one file for each subcommand."""
