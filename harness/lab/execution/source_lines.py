# SPDX-License-Identifier: Apache-2.0
"""Add file and line to the frames of reports, for modules whose files are at hand."""

from collections.abc import Iterable, Mapping

from harness.abi.elf.line_table import ModuleLines
from harness.detect.kernel_report import Report


def add_source_lines(reports: Iterable[Report], modules: Mapping[str, ModuleLines]) -> None:
    """Fill in `places` of each report: `function+0xoffset` -> `file.c:42`. modules: by their names in the kernel."""
    for report in reports:
        first = True
        for frame in report.frames():
            lines = modules.get(frame.module)
            # All but the faulting instruction are return addresses, which follow the call
            place = lines.find(frame.function, frame.offset - (not first)) if lines else ""
            if place:
                report.places.setdefault(f"{frame.function}+0x{frame.offset:x}", place)
            first = False
        add_source_lines(report.children, modules)
