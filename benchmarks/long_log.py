# SPDX-License-Identifier: Apache-2.0
"""Measure the speed and memory of scanning a long log: python -m benchmarks.long_log [MEGABYTES]

Pipes generated logs into `modcompat scan -`: a clean one, and the console logs of the golden cases, which are full of
reports. Each is also measured with a prefix on its lines that has to be learned. Speed is relative to the CPU time of
the scan, including its start.
"""

import re
import resource
import subprocess
import sys
from pathlib import Path

from benchmarks.detector import BOOT

_CASES = Path(__file__).parents[1] / "tests/unit/golden/console"
_LINE = re.compile(rb"^", re.MULTILINE)
_SCAN = [str(Path(sys.executable).with_name("modcompat")), "scan", "-"]


def measure(name: str, log: bytes, megabytes: int) -> None:
    """Scan one log. Needs its own process, because RUSAGE_CHILDREN gives the peak of all children."""
    with subprocess.Popen(_SCAN, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as scan:
        assert scan.stdin
        size = 0
        while size < megabytes * 1_000_000:
            scan.stdin.write(log)
            size += len(log)
        scan.stdin.close()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime
    print(f"{name:24} {size / 1e6:.0f} MB, {size / seconds / 1e6:.1f} MB/s, {used.ru_maxrss / 1024:.0f} MB at most")


def main() -> None:
    """Measure each log in a child process, or the one named on the command line."""
    logs = {"clean": BOOT, "full of reports": b"".join(path.read_bytes() for path in sorted(_CASES.glob("*/*.log")))}
    logs |= {
        f"{name}, prefix": _LINE.sub(b"guest-1  | ", log.removesuffix(b"\n")) + b"\n" for name, log in logs.items()
    }
    match sys.argv[1:]:
        case [name, megabytes] if name in logs:
            measure(name, logs[name], int(megabytes))
        case [] | [_]:
            for name in logs:
                subprocess.run(
                    [sys.executable, "-m", "benchmarks.long_log", name, *(sys.argv[1:] or ["1000"])], check=True
                )
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
