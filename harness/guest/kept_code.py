# SPDX-License-Identifier: Apache-2.0
"""Keeps the code that QEMU has translated across restores, which makes most of a cell four to eight times as fast.

QEMU throws it away with each restore (cpu_common_post_load() of cpu.c in QEMU 7.2), because a restore writes to the
guest's memory without QEMU's detection of modified code. It does not if a part of the state is left out
(harness/guest/saved_state.py). Then a plugin of QEMU (images/plugins/kept_code.c) compares all code that was translated
with the memory. If any of it has changed, as when a kernel patched itself, a new QEMU is started.
"""

import socket
import struct
from pathlib import Path

# struct question and struct answer of images/plugins/kept_code.c
_QUESTION = struct.Struct("<QQ")
_ANSWER = struct.Struct("<I")


class KeptCode:
    """The plugin of one QEMU. Its methods raise OSError if QEMU does not answer."""

    def __init__(self, plugin: Path, seconds: float) -> None:
        """seconds: within which it must answer."""
        self._plugin = plugin
        self._ours, self.theirs = socket.socketpair()
        self._ours.settimeout(seconds)

    def options(self) -> list[str]:
        """QEMU's options for it. The process must inherit `theirs`."""
        return ["-plugin", f"{str(self._plugin).replace(',', ',,')},channel={self.theirs.fileno()}"]

    def is_valid(self, modules: tuple[int, int]) -> bool:
        """Whether all code that was translated is in the memory of the guest, which must be stopped.

        modules: the first address of the area for modules, and the first one behind it. There it may have changed if no
        module is loaded, because the kernel writes there before it runs anything.
        """
        self._ours.sendall(_QUESTION.pack(*modules))
        answer = self._ours.recv(_ANSWER.size, socket.MSG_WAITALL)
        if len(answer) < _ANSWER.size:
            raise ConnectionError("QEMU is gone")
        (changed,) = _ANSWER.unpack(answer)
        return not changed

    def close(self) -> None:
        """End the conversation."""
        self._ours.close()
        self.theirs.close()
