# SPDX-License-Identifier: Apache-2.0
"""How fast a long log is scanned, and in how much memory: python -m benchmarks.long_log [MEGABYTES]

Pipes two logs into `modcompat scan -` as it makes them: a clean one, and the console logs of the golden cases one
after the other, which are full of reports. Speed is by the scan's own processor time, start included.
"""

import resource
import subprocess
import sys
from pathlib import Path

from benchmarks.detector import BOOT

_CASES = Path(__file__).parents[1] / "tests/unit/golden/console"
_SCAN = [str(Path(sys.executable).with_name("modcompat")), "scan", "-"]


def measure(name: str, log: bytes, megabytes: int) -> None:
    """Run in a process of its own: the peak is that of all children of a process."""
    with subprocess.Popen(_SCAN, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as scan:
        assert scan.stdin
        size = 0
        while size < megabytes * 1_000_000:
            scan.stdin.write(log)
            size += len(log)
        scan.stdin.close()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime
    print(f"{name:16} {size / 1e6:.0f} MB, {size / seconds / 1e6:.1f} MB/s, {used.ru_maxrss / 1024:.0f} MB at most")


def main() -> None:
    """Each log in its turn."""
    logs = {"clean": BOOT, "full of reports": b"".join(path.read_bytes() for path in sorted(_CASES.glob("*/*.log")))}
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
