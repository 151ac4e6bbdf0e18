"""Memory that must stay as it is, and a list that must hold together, looked at from outside the guest.

The kernel's code and constants, and those of the module, are read through QMP and compared with what they were:
the kernel's when the guest was pristine, the module's after its load. The list of modules is walked both ways.
Nothing of that asks the guest.
"""

import struct

from harness.abi.module_file import ModuleFacts
from harness.detect.evidence import Check
from harness.guest.guest import Guest
from harness.guest.qmp import QmpLostError, QmpRefusedError

_PAGE = 4096  # bytes; the unit of protection, so that constants begin with the page behind the code
_KERNEL = (("code", "_stext", "_etext"), ("constants", "__start_rodata", "__end_rodata"))
_MOST = 1000  # modules: a list that is longer goes in circles
_Ranges = dict[str, tuple[int, int]]  # what -> address, size

# Slab caches that can be validated, and do not complain
VALIDATE = "n=0; for v in /sys/kernel/slab/*/validate; do echo 1 >$v 2>/dev/null && n=$((n+1)); done; echo $n"
# On each CPU a process that takes pages and gives them back, a timer, and the number of CPUs
PROBE = (
    "for c in 1 2; do taskset $c dd if=/dev/zero of=/tmp/probe bs=64k count=4 2>/dev/null && echo well; done; "
    "rm /tmp/probe && usleep 1000; nproc"
)
WELL = ["well", "well", "2"]


class Watch:
    """What of a guest's memory is watched during a cell."""

    def __init__(self, guest: Guest, *, patched: str) -> None:
        """patched: why the kernel may change its own code meanwhile, "" where it does not."""
        self._guest = guest
        self._patched = patched
        self._before: dict[str, bytes] = {}
        self._ranges: _Ranges = {}
        self.obstacle = f"its code is patched by {patched}: not compared" if patched else ""

    def begin(self) -> None:
        """The guest is pristine."""
        marks = self._guest.symbols.marks
        if not self._patched and all(start in marks and end in marks for _, start, end in _KERNEL):
            self._take({f"the kernel's {what}": (marks[a], marks[b] - marks[a]) for what, a, b in _KERNEL})

    def loaded(self, facts: ModuleFacts) -> None:
        """The module is loaded, and /proc/modules was read."""
        place = next((start for start, _, name in self._guest.symbols.modules if name == facts.name), None)
        if place is None or self._patched:
            return
        constants = place + -(-facts.code // _PAGE) * _PAGE
        ranges = {"the module's code": (place, facts.code), "the module's constants": (constants, facts.constants)}
        self._take({what: (start, size) for what, (start, size) in ranges.items() if size})

    def unloading(self) -> list[Check]:
        """Compare the module's memory, while it is there."""
        return self._compare("the module's")

    def end(self) -> list[Check]:
        """Compare the kernel's memory, and walk the list of modules."""
        return [*self._compare("the kernel's"), *self._walk()]

    def _take(self, ranges: _Ranges) -> None:
        self._ranges |= ranges
        for what, (address, size) in ranges.items():
            if (content := self._read(address, size)) is not None:
                self._before[what] = content

    def _compare(self, whose: str) -> list[Check]:
        checks = []
        for what, before in self._before.items():
            if not what.startswith(whose):
                continue
            address, size = self._ranges[what]
            now = self._read(address, size)
            if now is not None:
                checks.append(Check(f"{what} unchanged", now == before, _difference(address, before, now)))
        return checks

    def _walk(self) -> list[Check]:
        head = self._guest.symbols.marks.get("modules")
        if head is None:
            return []
        node = head
        found: list[int] = []
        code = "<QQ" if self._guest.machine.board.arch.elf[1] == 64 else "<II"
        while len(found) < _MOST:
            pair = self._read(node, struct.calcsize(code))
            after = self._read(struct.unpack(code, pair)[0], struct.calcsize(code)) if pair else None
            if pair is None or after is None:
                detail = f"the entry at 0x{node:x} cannot be followed" if found else ""
                return [Check("list of modules", held=False, detail=detail)] if found else []
            following = struct.unpack(code, pair)[0]
            if struct.unpack(code, after)[1] != node:
                return [
                    Check("list of modules", held=False, detail=f"0x{following:x} does not point back to 0x{node:x}")
                ]
            if following == head:
                listed = len(self._guest.symbols.modules)
                held = len(found) == listed
                detail = "" if held else f"{len(found)} in memory, {listed} in /proc/modules"
                return [Check("list of modules", held, detail)]
            found.append(following)
            node = following
        return [Check("list of modules", held=False, detail="it goes in circles")]

    def _read(self, address: int, size: int) -> bytes | None:
        try:
            return self._guest.read_memory(address, size)
        except (QmpRefusedError, QmpLostError) as error:
            self.obstacle = self.obstacle or f"memory cannot be read from outside: {error}"
            return None


def _difference(address: int, before: bytes, now: bytes) -> str:
    """Where two contents differ first, and how many bytes do."""
    if before == now:
        return ""
    places = [place for place, (old, new) in enumerate(zip(before, now, strict=True)) if old != new]
    first = places[0]
    was, is_ = before[first : first + 8].hex(), now[first : first + 8].hex()
    return f"{len(places)} bytes differ, the first at 0x{address + first:x}: {was} -> {is_}"
