# SPDX-License-Identifier: Apache-2.0
"""A kernel's exports, from its Module.symvers (Documentation/kbuild/modules.rst, "Symbols From the Kernel")."""

import re
from dataclasses import dataclass
from pathlib import Path

from harness.support.inputs import content_of
from harness.support.packed import PackedError, unpacked

_MAX_BYTES = 64 << 20  # a distribution's has 2 MB
_CRC = re.compile(r"0x[0-9a-fA-F]{1,16}")


@dataclass(frozen=True)
class Export:
    """An exported symbol."""

    kind: str = "EXPORT_SYMBOL"  # or EXPORT_SYMBOL_GPL
    namespace: str = ""  # "" if it is in none, as in the file
    crc: int = 0  # its version, 0 without MODVERSIONS

    @property
    def is_gpl(self) -> bool:
        """Whether only modules with a GPL-compatible licence may use it."""
        return "GPL" in self.kind


def read_exports(file: Path) -> dict[str, Export]:
    """The exported symbols, by name, from a file that may be packed.

    Raises OSError, and ValueError if the file is not a Module.symvers.
    """
    try:
        text = unpacked(content_of(file, _MAX_BYTES), _MAX_BYTES).decode(errors="backslashreplace")
    except PackedError as error:
        raise ValueError(f"{file}: {error}") from None
    exports = {}
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) < 4 or not _CRC.fullmatch(fields[0]):
            raise ValueError(f"{file} is not a Module.symvers: {line[:100]}")
        exports[fields[1]] = Export(fields[3], fields[4] if len(fields) > 4 else "", int(fields[0], 16))
    return exports
