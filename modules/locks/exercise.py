"""The exercise of the locks module: every lock variant, what embeds a lock, contention, a device."""

from harness.exercise import Bench

ANNOUNCES = {"init": "locks: init", "exit": "locks: exit"}

DEVICE = "/dev/modcompat_locks"
FLAGS, OPENS = "0x6d01", "0x6d02"  # requests of the device's ioctl
O_RDWR, O_NONBLOCK = 0o2, 0o4000

SPIN = ("plain", "irq", "irqsave", "bh", "trylock")
RW = ("read", "write", "read_irq", "write_irq", "read_irqsave", "write_irqsave", "read_bh", "write_bh", "trylock")
LOCKS = [
    *(f"{place}_spinlock.{variant}" for place in ("heap", "static") for variant in SPIN),
    *(f"{place}_rwlock.{variant}" for place in ("heap", "static") for variant in RW),
]
EMBEDDED = [
    f"{what}.{step}"
    for what in ("mutex", "wait_queue", "completion", "semaphore", "rwsem")
    for step in ("init", "use", "canary")
]
CONTENTION = [f"contention.{who}" for who in ("timer", "work", "thread", "count", "canary")]


def exercise(bench: Bench) -> None:
    bench.module_checks("run", "locks", LOCKS)
    bench.module_checks("run", "embedded", EMBEDDED)
    bench.module_checks("run", "contention", CONTENTION)
    bench.expect("device.read", f"cat {DEVICE}", "nothing")
    bench.expect("device.write", f"echo words >{DEVICE} && cat {DEVICE}", "words")
    bench.expect("device.flags", f"ioctl {DEVICE} {FLAGS}", str(O_RDWR))
    bench.expect("device.nonblock", f"ioctl {DEVICE} {FLAGS} nonblock", str(O_RDWR | O_NONBLOCK))
    bench.expect("device.opens", f"ioctl {DEVICE} {OPENS}", "6")
