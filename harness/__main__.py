# SPDX-License-Identifier: Apache-2.0
"""`python -m harness` is the `modcompat` command."""

from harness.cli.main import main

main(prog_name="modcompat")
