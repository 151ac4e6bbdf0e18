# SPDX-License-Identifier: Apache-2.0
"""Fuzz the detector with atheris (coverage-guided): python tests/fuzz/scan_logs.py [libFuzzer options] [CORPUS]

`make fuzz` runs it with the golden cases as the corpus. A finding is an exception, a result that depends on how the
log is cut, or time that grows faster than the log. pytest does not collect this file; atheris has its own venv.
"""

import json
import sys
import time

import atheris

with atheris.instrument_imports(include=["harness.detect"]):
    from harness.detect.kernel_report import as_json_object
    from harness.detect.scan import scan, scan_stream

_SECONDS_A_MEGABYTE = 20.0  # many times what the slowest real log takes under instrumentation


def one(data: bytes) -> None:
    started = time.process_time()
    reports = scan(data)
    taken = time.process_time() - started
    if taken > 0.5 + _SECONDS_A_MEGABYTE * len(data) / 1e6:
        raise RuntimeError(f"{taken:.1f} s for {len(data)} bytes")
    for report in reports:
        json.dumps(as_json_object(report))
        if not 1 <= report.first_line <= report.last_line <= data.count(b"\n") + 1:
            raise RuntimeError(f"lines {report.first_line}-{report.last_line}")
    cut = data[0] * len(data) // 256 if data else 0
    if list(scan_stream([data[:cut], data[cut:]])) != reports:
        raise RuntimeError(f"cut at {cut}, the log has other reports")


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
