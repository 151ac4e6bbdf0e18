# SPDX-License-Identifier: Apache-2.0
"""tun: a device whose other end is a program that answers pings."""

from harness import Bench

DRIVE = "drive"


def exercise(bench: Bench) -> None:
    bench.run("mkdir -p /dev/net; [ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200")
    program = bench.start(f"{DRIVE} tun tun0")
    bench.check("makes a device", bool(program.expect("ready")), program.printed)
    bench.expect("takes an address", "ip addr add 192.0.2.1/24 dev tun0 && ip link set tun0 up && echo taken", "taken")
    output = bench.run("ping -c 10 -i 0.05 -s 1000 192.0.2.2", seconds=30)
    bench.check("carries pings and their answers", " 0% packet loss" in output.text, output.text)
    carried = bench.counter("/sys/class/net/tun0/statistics/rx_packets")
    bench.check("counts them", carried >= 10, f"{carried} packets")
    program.stop()
    bench.expect("goes with its program", "sleep 0.3; ls /sys/class/net | grep tun0 | wc -l", "0")
