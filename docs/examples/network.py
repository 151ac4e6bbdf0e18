# SPDX-License-Identifier: Apache-2.0
"""A network driver: drivers/net/veth.c of the kernel, a cable with two ends, one of them in another namespace."""

from harness import Bench

NAME = "cable"  # of the one end; the driver calls the other one veth0
OUTER, INNER = "192.0.2.1", "192.0.2.2"  # RFC 5737, for examples


def sent(bench: Bench) -> int:
    return bench.counter(f"/sys/class/net/{NAME}/statistics/tx_packets")


def exercise(bench: Bench) -> None:
    bench.expect("makes a pair", f"ip link add {NAME} type veth && ls /sys/class/net | grep -Ec '{NAME}|veth0'", "2")
    other = bench.start("unshare -n sh -c 'echo $$; exec sleep 1000'")
    found = other.expect(r"(\d+)\s")
    assert found, other.printed
    inside = f"nsenter -t {found[1]} -n"
    for command in (
        f"ip link set veth0 netns {found[1]}",
        f"ip addr add {OUTER}/24 dev {NAME}",
        f"ip link set {NAME} up",
        f"{inside} ip addr add {INNER}/24 dev veth0",
        f"{inside} ip link set veth0 up",
    ):
        output = bench.run(command)
        bench.check(command.removeprefix(inside).strip(), output.status == 0, output.text)

    before = sent(bench)
    output = bench.run(f"ping -c 3 -s 1000 {INNER}", seconds=30)
    bench.check("answers", " 0% packet loss" in output.text, output.text)
    bench.check("counts what it sent", sent(bench) - before >= 3, f"{sent(bench) - before} packets")

    flood = bench.start(f"ping -s 1400 -i 0.01 {INNER}")
    bench.check("answers under load", bool(flood.expect(r"seq=20\b", seconds=30)), flood.printed[-200:])
    flood.stop()
    bench.expect("goes with the cable", f"ip link del {NAME}; ls /sys/class/net | grep -Ec '{NAME}|veth0' || true", "0")
    other.stop()
