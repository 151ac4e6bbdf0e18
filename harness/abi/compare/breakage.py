# SPDX-License-Identifier: Apache-2.0
"""Which differences between two kernels explain that a module broke."""

from collections.abc import Iterable
from typing import Any

from harness.abi.compare.layout_columns import layout_columns
from harness.abi.compare.layout_diff import LayoutDiff
from harness.abi.compare.layout_text import explain_place, summarize_cause
from harness.support.text import and_more

# Members that the loader reads from the module's own section: do_init_module() and delete_module() in
# kernel/module/main.c.
_LOADER_READS = ("struct module.init", "struct module.exit")
_MAX_CAUSES = 8  # listed in an explanation


def explain_breakage(diff: LayoutDiff, touches: Iterable[str], *, in_use: bool) -> list[str]:
    """The changes that can break a module that was built for production, one line each.

    touches: structures ("struct mutex") and members ("struct file.f_pos") that the module is known to use.
    in_use: the module broke while it was used, so these come first; otherwise the members that the loader reads do.
    The causes of everything that moved follow.
    """
    explanations = (explain_place(diff, place) for place in _places(touches, in_use=in_use))
    causes = [summarize_cause(diff, cause) for cause in diff.causes]
    more = and_more(len(causes) - _MAX_CAUSES, "causes")
    return list(dict.fromkeys(line for line in (*explanations, *causes[:_MAX_CAUSES], more) if line))


def breakage_layouts(diff: LayoutDiff, touches: Iterable[str], *, in_use: bool) -> list[dict[str, Any]]:
    """The structure that explains a breakage and its cause, as layout_columns() of both kernels.

    Takes the arguments of explain_breakage(), and returns the part of its answer that a picture can show.
    """
    places = _places(touches, in_use=in_use)
    moved = [place.partition(".") for place in places if explain_place(diff, place)]
    found = diff.find(moved[0][0]) if moved else None
    cause = next(iter(diff.causes), None)
    chain = diff.chain(found.name) if found else [cause] if cause else []
    focus = [member for name, _, member in moved if found and found.is_called(name) and member]
    return [layout_columns(diff.changes[name], focus) for name in dict.fromkeys((*chain[:1], *chain[-1:]))]


def _places(touches: Iterable[str], *, in_use: bool) -> list[str]:
    return [*touches, *_LOADER_READS] if in_use else [*_LOADER_READS, *touches]
