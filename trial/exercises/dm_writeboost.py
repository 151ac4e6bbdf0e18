# SPDX-License-Identifier: Apache-2.0
"""dm-writeboost: a cache in front of a disk, both RAM disks, returns the data that was written."""

from harness import Bench

DRIVE, DISK, CACHE, MAPPED = "drive", "/dev/ram0", "/dev/ram1", "/dev/dm-0"


def exercise(bench: Bench) -> None:
    bench.wait_for("/dev/mapper/control")
    bench.run(f"dd if=/dev/zero of={CACHE} bs=64k count=16; dd if=/dev/urandom of=/tmp/data bs=64k count=32")
    output = bench.run(f"{DRIVE} dm boosted 32768 writeboost '{DISK} {CACHE}'", seconds=60)
    bench.check("is mapped", output.status == 0, output.text)
    if not bench.wait_for(MAPPED):
        return
    bench.expect("takes data", f"dd if=/tmp/data of={MAPPED} bs=4k conv=fsync 2>/dev/null && echo taken", "taken")
    same = "dd if={} bs=64k count=32 2>/dev/null | cmp - /tmp/data && echo same"
    bench.expect("gives the same back", f"echo 3 >/proc/sys/vm/drop_caches; {same.format(MAPPED)}", "same")
    bench.expect("takes a file system", f"mke2fs {MAPPED} >/dev/null 2>&1 && echo made", "made")
    bench.expect("goes away", f"{DRIVE} dm boosted && ls {MAPPED} 2>/dev/null | wc -l", "0")
