# SPDX-License-Identifier: Apache-2.0
"""The exercise of the warning module: one deliberate warning with the right file, line and function."""

import re

from harness import Bench

ANNOUNCES = {"init": "warning: init", "exit": "warning: exit"}
EXPECTS = [{"kind": "warning", "title": r"at \S*warning\.c:\d+ misbehave\+\S+ \[warning\]"}]


def exercise(bench: Bench) -> None:
    bench.module_checks("run", "warn", ["warn.first", "warn.second"])
    lines = re.findall(r"WARNING: .* at \S*warning\.c:(\d+) misbehave\+", bench.log())
    bench.check("warn.once", len(lines) == 1, f"reported {len(lines)} times")
    bench.expect("warn.line", "cat /sys/module/warning/parameters/line", " ".join(lines))
