# SPDX-License-Identifier: Apache-2.0
"""loop, with ext2 on it: a file becomes a disk with a file system, which keeps its files when mounted again."""

from harness import Bench

IMAGE, PLACE = "/tmp/image", "/tmp/mounted"


def exercise(bench: Bench) -> None:
    bench.run(
        f"dd if=/dev/zero of={IMAGE} bs=64k count=64; mkdir {PLACE}; dd if=/dev/urandom of=/tmp/data bs=64k count=8"
    )
    if not bench.wait_for("/dev/loop0"):
        return
    bench.expect("ext2 is loaded", "insmod /lib/firmware/ext2.ko && echo loaded", "loaded")
    bench.expect("takes a file", f"losetup /dev/loop0 {IMAGE} && cat /sys/block/loop0/size", "8192")
    bench.expect("takes a file system", "mke2fs /dev/loop0 >/dev/null 2>&1 && echo made", "made")
    bench.expect("is mounted", f"mount -t ext2 /dev/loop0 {PLACE} && grep -c ext2 /proc/mounts", "1")
    copies = f"for i in 1 2 3 4; do mkdir {PLACE}/$i && cp /tmp/data {PLACE}/$i/copy || exit; done; sync; echo copied"
    bench.expect("takes files", f"({copies})", "copied")
    bench.expect("is unmounted", f"umount {PLACE} && echo 3 >/proc/sys/vm/drop_caches && echo gone", "gone")
    bench.expect("is mounted again", f"mount -t ext2 /dev/loop0 {PLACE} && echo there", "there")
    bench.expect(
        "kept the files", f"for i in 1 2 3 4; do cmp {PLACE}/$i/copy /tmp/data && echo -n same; done", "same" * 4
    )
    bench.expect("removes them", f"rm -r {PLACE}/[1-4] && umount {PLACE} && losetup -d /dev/loop0 && echo done", "done")
    bench.run("rmmod ext2")
