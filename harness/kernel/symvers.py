# SPDX-License-Identifier: Apache-2.0
"""What a kernel exports, from its Module.symvers (Documentation/kbuild/modules.rst, "Symbols From the Kernel")."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Export:
    """An exported symbol. kind: EXPORT_SYMBOL, EXPORT_SYMBOL_GPL. namespace: "" without. crc: 0 without MODVERSIONS."""

    kind: str = "EXPORT_SYMBOL"
    namespace: str = ""
    crc: int = 0

    @property
    def is_gpl(self) -> bool:
        """Whether only modules with a licence that the GPL is compatible with may use it."""
        return "GPL" in self.kind


def read_exports(file: Path) -> dict[str, Export]:
    """The exported symbols, by name. Raises OSError, and ValueError for a file that is no Module.symvers."""
    exports = {}
    for line in file.read_text().splitlines():
        fields = line.split("\t")
        if len(fields) < 4:
            raise ValueError(f"{file} is no Module.symvers: {line}")
        exports[fields[1]] = Export(fields[3], fields[4] if len(fields) > 4 else "", int(fields[0], 16))
    return exports
