# SPDX-License-Identifier: Apache-2.0
"""scsi_debug: a disk in memory behind the SCSI layer; data, errors on demand, and a file system."""

from harness import Bench

PARAMETERS = "dev_size_mb=8"
DISK = "/dev/sda"


def exercise(bench: Bench) -> None:
    if not bench.wait_for(DISK):
        return
    bench.expect("has its size", "cat /sys/block/sda/size", "16384")
    bench.expect("names itself", "cat /sys/block/sda/device/model", "scsi_debug")
    bench.run("dd if=/dev/urandom of=/tmp/data bs=64k count=32")
    bench.expect("takes data", f"dd if=/tmp/data of={DISK} bs=64k conv=fsync 2>/dev/null && echo taken", "taken")
    back = f"echo 3 >/proc/sys/vm/drop_caches; dd if={DISK} bs=64k count=32 2>/dev/null | cmp - /tmp/data && echo same"
    bench.expect("gives the same back", back, "same")
    bench.expect("takes a file system", f"mke2fs {DISK} >/dev/null 2>&1 && echo made", "made")
    bench.expect(
        "grows a host",
        "echo 1 >/sys/bus/pseudo/drivers/scsi_debug/add_host && sleep 1 && ls -d /sys/block/sd* | wc -l",
        "2",
    )
