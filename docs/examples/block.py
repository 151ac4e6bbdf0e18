# SPDX-License-Identifier: Apache-2.0
"""A block driver: drivers/block/null_blk of the kernel, with memory behind it, set up through configfs."""

from harness import Bench

PARAMETERS = "nr_devices=0"
DEVICE, SETTINGS = "/dev/nullb0", "/sys/kernel/config/nullb/nullb0"
MEGABYTES = 8


def exercise(bench: Bench) -> None:
    bench.run("mount -t configfs configfs /sys/kernel/config")
    output = bench.run(f"mkdir {SETTINGS}")
    bench.check("has settings", output.status == 0, output.text)
    for name, value in (("memory_backed", 1), ("size", MEGABYTES), ("power", 1)):
        bench.expect(name, f"echo {value} >{SETTINGS}/{name} && cat {SETTINGS}/{name}", str(value))
    if not bench.wait_for(DEVICE):
        return
    bench.check("has its size", bench.counter("/sys/block/nullb0/size") == MEGABYTES * 2048)

    bench.run("dd if=/dev/urandom of=/tmp/data bs=64k count=32", seconds=60)
    whole = f"dd if=/tmp/data of={DEVICE} bs=64k conv=fsync && echo 3 >/proc/sys/vm/drop_caches"
    output = bench.run(whole, seconds=60)
    bench.check("takes data", output.status == 0, output.text)
    bench.expect(
        "gives the same back", f"dd if={DEVICE} bs=64k count=32 2>/dev/null | cmp - /tmp/data && echo same", "same"
    )

    load = bench.start(f"while :; do dd if={DEVICE} of=/dev/null bs=4k; echo 1 >/proc/sys/vm/drop_caches; done")
    bench.expect("file systems are made under load", f"mke2fs {DEVICE} >/dev/null 2>&1 && echo made", "made")
    load.stop()
    bench.expect("goes away", f"echo 0 >{SETTINGS}/power; rmdir {SETTINGS}; ls {DEVICE} 2>/dev/null | wc -l", "0")
