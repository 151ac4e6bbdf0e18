# SPDX-License-Identifier: Apache-2.0
"""The exercise of the files module: a device, a file in /proc, and one in debugfs."""

from harness import Bench

ANNOUNCES = {"init": "files: init", "exit": "files: exit"}
TOUCHES = [
    "struct file.f_flags",
    "struct file.f_pos",
    "struct file.private_data",
    "struct seq_file.private",
    "struct inode.i_private",
]

NAME = "modcompat_files"
DEVICE = f"/dev/{NAME}"
FLAGS, OPENS, MINOR = "0x6d01", "0x6d02", "0x6d03"  # requests of the device's ioctl
O_RDWR, O_APPEND, O_NONBLOCK = 0o2, 0o2000, 0o4000
RECORDS = 1000

OPEN = [
    *(f"file.{what}" for what in ("op", "cred", "mapping", "flags", "mode", "count", "position", "private")),
    *(f"dentry.{what}" for what in ("name", "length", "inode", "super", "mount", "count", "parent", "lock")),
    *(f"inode.{what}" for what in ("rdev", "mode", "links", "size", "cdev", "locked", "unlocked", "count")),
]


def exercise(bench: Bench) -> None:
    bench.module_checks("run", "appear", ["files.since_init"])
    bench.expect("device.read", f"cat {DEVICE}", "nothing")
    bench.expect("device.write", f"echo words >{DEVICE} && cat {DEVICE}", "words")
    bench.expect("device.append", f"echo more >>{DEVICE} && cat {DEVICE}", "words\nmore")
    bench.expect("device.seek", f"dd if={DEVICE} bs=1 skip=2 count=3 2>/dev/null", "rds")
    bench.expect("device.flags", f"ioctl {DEVICE} {FLAGS}", str(O_RDWR))
    bench.expect("device.flags_set", f"ioctl {DEVICE} {FLAGS} nonblock append", str(O_RDWR | O_APPEND | O_NONBLOCK))
    opens = bench.run(f"ioctl {DEVICE} {OPENS}; ioctl {DEVICE} {OPENS}").text.split()
    bench.check("device.opens", len(opens) == 2 and int(opens[1]) == int(opens[0]) + 1, " ".join(opens))
    minors = bench.run(f"ioctl {DEVICE} {MINOR}; echo $((0x$(stat -c %T {DEVICE})))").text.split()
    bench.check("device.minor", len(minors) == 2 and minors[0] == minors[1], " ".join(minors))

    bench.expect("proc.records", f"tail -n 2 /proc/{NAME}", f"record {RECORDS - 1}\nserved {RECORDS}")
    bench.expect("proc.count", f"wc -l </proc/{NAME}", str(RECORDS + 1))
    bench.expect("debugfs.single", f"cat /sys/kernel/debug/{NAME}", "private file op")
    bench.module_checks("run", "open", OPEN)

    bench.parameter("run", "vanish")
    gone = f"[ ! -e {DEVICE} ] && [ ! -e /proc/{NAME} ] && [ ! -e /sys/kernel/debug/{NAME} ] && echo gone"
    bench.expect("files.gone", gone, "gone")
