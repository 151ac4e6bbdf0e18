# SPDX-License-Identifier: Apache-2.0
"""Whether the kernel called a module's init, as it reports with `initcall_debug`.

init/main.c, initcall_debug_start() and _finish(): "calling  fn+0x0/0x1000 [module] @ pid" and
"initcall fn+0x0/0x1000 [module] returned 0 after 12 usecs". do_one_initcall() is reached from
do_init_module() only when the kernel found an init function in struct module.
"""

import re
from dataclasses import dataclass

from harness.support.module_name import MODULE_NAME

_FUNCTION = rf"(\S+?)\+0x[0-9a-f]+/0x[0-9a-f]+ \[({MODULE_NAME})\]"
_CALLING = re.compile(rf"calling +{_FUNCTION} @ \d+".encode())
_RETURNED = re.compile(rf"initcall {_FUNCTION} returned (-?\d+) after".encode())


@dataclass(frozen=True)
class InitCall:
    """A call of a module's init."""

    function: str
    returned: int | None  # None if it did not return


def find_initcall(log: bytes, module: str) -> InitCall | None:
    """The last call of a module's init in a log, None if there is none."""
    name = module.encode()
    calls = [found for found in _CALLING.finditer(log) if found[2] == name]
    if not calls:
        return None
    returns = [int(found[3]) for found in _RETURNED.finditer(log, calls[-1].end()) if found[2] == name]
    return InitCall(calls[-1][1].decode(), returns[-1] if returns else None)
