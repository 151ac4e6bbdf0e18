# SPDX-License-Identifier: Apache-2.0
"""modcompat layout."""

import difflib
import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from harness.abi.compare.layout_diff import LayoutDiff
from harness.abi.compare.layout_text import render, with_sizes
from harness.abi.elf.dwarf import Layout
from harness.abi.headers.layouts import kernel_layouts
from harness.cli.kernel_options import ABOUT_SOURCE
from harness.cli.param_types import KERNEL_OR_TREE, SOURCE
from harness.kernel.arch import ARCHITECTURES, X86_64
from harness.kernel.isolation_patches import kernel_spec
from harness.kernel.module_headers import architecture_of, headers_in, headers_of
from harness.kernel.source import DEFAULT_PACKAGE, find_source
from harness.kernel.variants import variant_named
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.inputs import expanded


@click.group()
def layout() -> None:
    """Compare the structures of two kernels, as modules see them."""


@layout.command("diff")
@click.argument("before", type=KERNEL_OR_TREE)
@click.argument("after", type=KERNEL_OR_TREE)
@click.option(
    "--arch",
    type=click.Choice(list(ARCHITECTURES)),
    default=None,
    help=f"Architecture of named kernels.  [default: {X86_64.name}]",
)
@click.option("--type", "only", default="", metavar="T", help="Only this structure: 'struct module', spinlock_t ...")
@click.option("--kernel-source", "source", type=SOURCE, default=DEFAULT_PACKAGE, show_default=True, help=ABOUT_SOURCE)
@click.option("--json", "as_json", is_flag=True, help="Print the changes as one JSON object.")
def layout_diff(*, before: str, after: str, arch: str | None, only: str, source: str, as_json: bool) -> None:
    """Print which structures differ between two kernels, and why.

    BEFORE and AFTER are names of kernels (production, stock-spinlock, production-preempt ...) or your build trees:
    folders with a .config, after `make modules_prepare`. Nothing is written to them.

    Each structure whose own members changed is printed once, followed by those that embed it. Kernels are prepared for
    this, but not built.

    Exit status 0 if nothing changed (with --type, if this structure did not change), 1 if something did, 2 on an error.
    """
    store = Store()
    trees = {name: expanded(name) for name in (before, after) if "/" in name or Path(name).is_dir()}
    arches = {architecture_of(tree.absolute()).name for tree in trees.values()} | ({arch} if arch else set())
    if len(arches) > 1:
        raise ModcompatError(f"the two kernels are for different architectures: {', '.join(sorted(arches))}")
    chosen = ARCHITECTURES[next(iter(arches), X86_64.name)]

    def layouts(name: str) -> dict[str, Layout]:
        if name in trees:
            return kernel_layouts(headers_in(trees[name]), store)
        spec = kernel_spec(chosen, find_source(source, store), variant_named(name), store)
        return kernel_layouts(headers_of(spec, store), store)

    difference = LayoutDiff(layouts(before), layouts(after))
    if only and only not in difference.known_names:
        near = difflib.get_close_matches(only, sorted(difference.known_names))
        raise ModcompatError(
            f"modules see no structure {only}", next_step=f"near it: {', '.join(near)}" if near else ""
        )
    if as_json:
        changes = {
            name: asdict(change) | {"because": difference.chain(name)}
            for name, change in difference.changes.items()
            if not only or change.is_called(only)
        }
        causes = {
            cause: [with_sizes(difference.changes[name]) for name in difference.with_wrappers(cause)]
            for cause in difference.causes
        }
        facts = {"compared": difference.compared, "missing": difference.missing, "causes": causes, "changes": changes}
        click.echo(json.dumps(facts))
    else:
        click.echo(render(difference, only=only))
    changed = difference.concerns(only) if only else difference.changes or difference.missing
    sys.exit(1 if changed else 0)
