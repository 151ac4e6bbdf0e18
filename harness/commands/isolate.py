"""modcompat isolate."""

import json
import sys
from pathlib import Path

import click

from harness.architectures import ARCHITECTURES
from harness.features import features_named
from harness.isolation_check import check
from harness.kernel.config import KernelSpec
from harness.kernel.isolation import apply_series, isolated, isolated_without, patch_numbered
from harness.kernel.source import DEFAULT_PACKAGE, find_source
from harness.store import Store
from harness.variants import Preemption, variant_named, variant_of


@click.group()
def isolate() -> None:
    """Kernel patches that make debug features leave the module ABI unchanged."""


@isolate.command("apply")
@click.option("--source", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR")
def isolate_apply(*, source: Path) -> None:
    """Apply the series for its version to a kernel source tree: all of it, or, if one patch does not fit, nothing.

    Then switch on CONFIG_MODULE_ABI_ISOLATION with the debug features.
    """
    patches = apply_series(source.absolute(), Store())
    for patch in patches:
        click.echo(f"applied {patch.name}")


@isolate.command("check")
@click.option("--arch", "arches", multiple=True, type=click.Choice(list(ARCHITECTURES)), help="[every one]")
@click.option("--feature", "features", multiple=True, default=["all"], metavar="NAME", help="[all: the five together]")
@click.option(
    "--preemption", "models", multiple=True, default=["none"], type=click.Choice([str(it) for it in Preemption])
)
@click.option("--kernel-source", "source", default=DEFAULT_PACKAGE, show_default=True, metavar="DIR")
@click.option("--without", "left_out", default="", metavar="N", help="Take a patch out of the series: what is it for?")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a kernel, one a line.")
def isolate_check(
    *,
    arches: tuple[str, ...],
    features: tuple[str, ...],
    models: tuple[str, ...],
    source: str,
    left_out: str,
    as_json: bool,
) -> None:
    """Prove that isolated kernels have the module ABI of their production kernels.

    Compared are all structures that the headers for modules define, the code of all functions that these have
    modules compile in, and, of kernels that are built, the exported symbols. No kernel is built for it: the first
    time takes about two minutes for each, later ones a few seconds. The options can be given several times.

    Exit status 0 when a module finds what it was compiled with, 1 when it does not, 2 when that is not known.
    """
    store = Store()
    plain = find_source(source, store)
    patched = isolated_without(plain, patch_numbered(left_out, plain), store) if left_out else isolated(plain, store)
    same = True
    for arch in arches or ARCHITECTURES:
        for feature in features_named(features):
            for model in models:
                variant = variant_named(variant_of(feature, Preemption(model), isolated=True).name)
                checked = check(KernelSpec(ARCHITECTURES[arch], patched, variant), store)
                click.echo(json.dumps(checked.as_json_object()) if as_json else checked.for_people())
                same &= checked.is_same
    sys.exit(0 if same else 1)
