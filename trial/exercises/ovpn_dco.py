# SPDX-License-Identifier: Apache-2.0
"""openvpn-dco: two devices are each other's peers over UDP on this host, and exchange encrypted packets."""

from harness import Bench

DRIVE, COUNT = "drive", 10


def exercise(bench: Bench) -> None:
    bench.run("ip link set lo up")
    for name in ("vpn0", "vpn1"):
        bench.expect(f"{name} is made", f"ip link add {name} type ovpn-dco && ls -d /sys/class/net/{name} | wc -l", "1")
    ends = [bench.start(f"{DRIVE} ovpn vpn0 1194 1195"), bench.start(f"{DRIVE} ovpn vpn1 1195 1194")]
    for end in ends:
        bench.check("has a peer and its keys", bool(end.expect("ready")), end.printed)
    bench.run("ip addr add 192.0.2.1/24 dev vpn0; ip link set vpn0 up; ip link set vpn1 up")
    bench.run(f"ping -c {COUNT} -i 0.05 -W 1 -s 1000 192.0.2.2", seconds=30)  # nobody answers; the requests must arrive
    for name, counter in (("vpn0", "tx_packets"), ("vpn1", "rx_packets")):
        seen = bench.counter(f"/sys/class/net/{name}/statistics/{counter}")
        bench.check(f"{name} counts {counter}", seen >= COUNT, f"{seen} packets")
    for name in ("vpn0", "vpn1"):
        bench.expect(f"{name} goes", f"ip link del {name}; ls /sys/class/net | grep {name} | wc -l", "0")
    for end in ends:
        end.stop()
