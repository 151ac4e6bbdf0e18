# SPDX-License-Identifier: Apache-2.0
"""A character device: drivers/tty/ttynull.c of the kernel, a terminal that swallows what is written to it."""

from harness import Bench

DEVICE = "/dev/ttynull"


def exercise(bench: Bench) -> None:
    if not bench.wait_for(DEVICE):
        return
    bench.expect("the driver is listed", "grep -c '^ttynull.*/dev/ttynull' /proc/tty/drivers", "1")

    # A file of ours, through the device; and one back, to see that it was whole.
    data = bytes(range(256)) * 32
    bench.put(data, "/tmp/data")
    bench.check("the file came over", bench.get("/tmp/data") == data)
    bench.expect("takes a file", f"cat /tmp/data >{DEVICE} && echo taken", "taken")

    # A program that is talked with, which has the device open.
    writer = bench.start(f"exec 3>{DEVICE}; echo open; while read word; do echo $word >&3 && echo wrote $word; done")
    bench.check("opens", bool(writer.expect("open")), writer.printed)
    for word in ("one", "two"):
        writer.send(f"{word}\n")
        bench.check(f"writes {word}", bool(writer.expect(f"wrote {word}")), writer.printed)

    # Its settings change while it is under load.
    load = bench.start(f"dd if=/dev/zero of={DEVICE} bs=512 count=100000000")
    bench.expect("takes settings under load", f"stty -F {DEVICE} -echo && stty -F {DEVICE} | grep -c -- -echo", "1")
    bench.check("the load still runs", load.status is None, load.printed)
    load.stop()
    writer.stop()
