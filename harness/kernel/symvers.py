# SPDX-License-Identifier: Apache-2.0
"""A kernel's exports, from its Module.symvers (Documentation/kbuild/modules.rst, "Symbols From the Kernel")."""

from dataclasses import dataclass
from pathlib import Path


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
    """The exported symbols, by name. Raises OSError, and ValueError if the file is not a Module.symvers."""
    exports = {}
    for line in file.read_text().splitlines():
        fields = line.split("\t")
        if len(fields) < 4:
            raise ValueError(f"{file} is not a Module.symvers: {line}")
        exports[fields[1]] = Export(fields[3], fields[4] if len(fields) > 4 else "", int(fields[0], 16))
    return exports
