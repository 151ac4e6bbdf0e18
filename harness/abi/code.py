"""Which members of the kernel's structures a module's own code touches, read from its instructions."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Access:
    """A member that code reads or writes at an offset compiled in. function: of the module."""

    struct: str
    member: str
    function: str
