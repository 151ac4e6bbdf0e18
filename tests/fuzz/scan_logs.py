# SPDX-License-Identifier: Apache-2.0
"""Fuzz the detector with atheris (coverage-guided): python tests/fuzz/scan_logs.py [libFuzzer options] [CORPUS]

`make fuzz` runs it with the golden cases as the corpus. A finding is an exception, a result that depends on how the
log is cut, or time that grows faster than the log. Each input is scanned twice: as it is, and with its first line as
the prefix of the others, whose numbers grow from line to line. pytest does not collect this file; atheris has its own
venv.
"""

import json
import re
import sys
import time

import atheris

with atheris.instrument_imports(include=["harness.detect"]):
    from harness.detect.kernel_report import as_json_object
    from harness.detect.scan import scan, scan_stream

_SECONDS_A_MEGABYTE = 20.0  # many times what the slowest real log takes under instrumentation


_MAX_PREFIX = 80  # bytes
_NUMBER = re.compile(rb"\d+")


def behind_prefix(data: bytes) -> bytes:
    """The lines behind the first, each with the first in front of it."""
    prefix, *lines = data.split(b"\n")
    prefix = prefix[:_MAX_PREFIX]
    return b"\n".join(_grown(prefix, number) + line for number, line in enumerate(lines))


def _grown(prefix: bytes, number: int) -> bytes:
    return _NUMBER.sub(lambda found: b"%d" % (int(found[0]) + number), prefix)


def check(data: bytes, cut: int) -> None:
    """Scan a log, whole and in two pieces. Raises RuntimeError for a finding."""
    started = time.process_time()
    reports = scan(data)
    taken = time.process_time() - started
    if taken > 0.5 + _SECONDS_A_MEGABYTE * len(data) / 1e6:
        raise RuntimeError(f"{taken:.1f} s for {len(data)} bytes")
    for report in reports:
        json.dumps(as_json_object(report))
        if not 1 <= report.first_line <= report.last_line <= data.count(b"\n") + 1:
            raise RuntimeError(f"lines {report.first_line}-{report.last_line}")
    if list(scan_stream([data[:cut], data[cut:]])) != reports:
        raise RuntimeError(f"cut at {cut}, the log has other reports")


def one(data: bytes) -> None:
    for log in (data, behind_prefix(data)):
        check(log, data[0] * len(log) // 256 if data else 0)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
