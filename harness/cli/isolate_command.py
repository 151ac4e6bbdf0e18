# SPDX-License-Identifier: Apache-2.0
"""modcompat isolate."""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from harness.cli.kernel_options import ABOUT_SOURCE, CONFIGS
from harness.cli.param_types import BOARD, FEATURE, GUESTS, SOURCE, USUAL_GUESTS, WORKERS
from harness.cli.path_param import PathParam
from harness.cli.run_matrix import build_kernels, run_cells
from harness.guest.boards import Board, default_board
from harness.kernel.arch import ARCHITECTURES, X86_64
from harness.kernel.config import KernelSpec
from harness.kernel.features import features_named
from harness.kernel.isolation_options import production_options
from harness.kernel.isolation_patches import (
    apply_series,
    isolated,
    isolated_without,
    patch_numbered,
    require_isolation,
    series_for,
)
from harness.kernel.kconfig import parse, written
from harness.kernel.source import (
    DEFAULT_PACKAGE,
    KernelSource,
    absolute,
    find_source,
    is_package,
    user_tree,
    version_of,
)
from harness.kernel.user_config import UserConfig, by_architecture, production_has, read_config, require_for
from harness.kernel.variants import Preemption, Variant, variant_named, variant_of
from harness.lab.plan.cells import MATRICES, choose_boards, kernels, narrow
from harness.lab.plan.settings import Settings
from harness.lab.validation import bug_runner, records, selftests
from harness.lab.validation.abi_comparison import compare_abi
from harness.lab.validation.bugs import BUGS, Where
from harness.report.isolation_page import PAGE, isolation_page, proof_table
from harness.support.cache.store import Store
from harness.support.errors import GuestLostError, ModcompatError
from harness.support.inputs import expanded
from harness.support.paths import require_checkout
from harness.support.progress import say

_SUPPORTED = [arch.name for arch in ARCHITECTURES.values() if arch.has_isolation]
_board = click.option(
    "--board", default=default_board(X86_64).id, show_default=True, type=BOARD, help="Where to run it."
)
_arches = click.option(
    "--arch",
    "arches",
    multiple=True,
    type=click.Choice(list(ARCHITECTURES)),
    help=f"Architectures (repeatable).  [default: {', '.join(_SUPPORTED)}]",
)
_features = click.option(
    "--feature",
    "features",
    multiple=True,
    default=["all"],
    type=FEATURE,
    help="Debug features (repeatable).  [default: all, the five together]",
)
_models = click.option(
    "--preemption",
    "models",
    multiple=True,
    default=["none"],
    type=click.Choice([str(model) for model in Preemption]),
    help="Preemption models of the kernels (repeatable).  [default: none]",
)
_source = click.option(
    "--kernel-source", "source", type=SOURCE, default=DEFAULT_PACKAGE, show_default=True, help=ABOUT_SOURCE
)
_output = click.option("-o", "--output", type=PathParam(dir_okay=False), help="Write JSON here.")
_record = click.option("--record", is_flag=True, help="Write the result to modcompat's data and docs (in a checkout).")


@click.group()
def isolate() -> None:
    """Apply, check and prove the patches that keep the module ABI.

    The isolation series is a set of kernel patches. With it, a debug kernel has the module ABI of production.
    """


@isolate.command("apply")
@click.option(
    "--kernel-source",
    "--source",
    "source",
    required=True,
    type=PathParam(exists=True, file_okay=False),
    metavar="DIR",
    help="The kernel source tree to patch.",
)
def isolate_apply(*, source: Path) -> None:
    """Apply the series to a kernel source tree.

    The version of the tree selects the series. If one patch does not fit, none is applied. Afterwards, enable
    CONFIG_MODULE_ABI_ISOLATION together with the debug features. Exit status 0, or 2 if the series was not applied.
    """
    patches = apply_series(source.absolute(), Store())
    for patch in patches:
        click.echo(f"applied {patch.name}")


@isolate.command("describe")
@click.option(
    "--config",
    "config",
    required=True,
    type=PathParam(),
    metavar="FILE",
    help="The .config of the production kernel, or the kernel itself if it has IKCONFIG.",
)
@_source
@click.option(
    "--symvers",
    type=PathParam(exists=True, dir_okay=False),
    help="Module.symvers of the production kernel, if it has MODVERSIONS.",
)
def isolate_describe(*, config: Path, source: str, symvers: Path | None) -> None:
    """Print what the series has to be told about a production kernel.

    The output is a fragment for the .config of the debug kernel. It switches on MODULE_ABI_ISOLATION and every option
    that production has and the series hides, because the debug kernel must have it as well, and tells the series which
    these are. --kernel-source tells the version; the tree may be patched and configured.

    Exit status: 0, or 2 if the configuration cannot be read or there is no series for the version.
    """
    production = read_config(config)
    require_isolation(production.arch)
    kernel = find_source(source, Store()) if is_package(source) else user_tree(expanded(source))
    series_for(kernel)
    options, version = parse(production.text), version_of(kernel)
    shared = {name: options[name] for name in production_options(version) if options.get(name, "n") != "n"}
    settings = {"MODULE_ABI_ISOLATION": "y"} | shared | production_has(options, production.arch, version)
    if symvers:
        settings["MODULE_ABI_SYMVERS"] = f'"{symvers.absolute()}"'
    elif production.has_versions:
        say("production has MODVERSIONS: without its Module.symvers (--symvers), no module of it is loaded")
    click.echo(written(settings), nl=False)


@isolate.command("check")
@_arches
@_features
@_models
@_source
@CONFIGS
@click.option("--without", "left_out", default="", metavar="N", help="Leave patch N out, to find out what it is for.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line, one for each kernel.")
def isolate_check(
    *,
    arches: tuple[str, ...],
    features: tuple[str, ...],
    models: tuple[str, ...],
    source: str,
    configs: tuple[Path, ...],
    left_out: str,
    as_json: bool,
) -> None:
    """Prove that isolated kernels have production's module ABI.

    It compares all structures, macros and enumerators that the headers for modules define, the code of all inline
    functions of these headers, the prototypes of exported symbols, and the exported symbols of kernels that are built
    already. No kernel is built: the first comparison takes about two minutes for each kernel, later ones a few seconds.
    With --config, the kernels are based on your production configurations, in their preemption model.

    Exit status 0 if there is no difference that a module can notice, 1 if there is or if a header or an inline function
    does not compile, 2 on an error.
    """
    store = Store()
    plain = find_source(source, store)
    patched = isolated_without(plain, patch_numbered(left_out, plain), store) if left_out else isolated(plain, store)
    users = by_architecture(replace(read_config(path), as_it_is=True) for path in configs)
    same = True
    for arch in arches or users or _SUPPORTED:
        for feature in features_named(features):
            for model in models[:1] if users else models:
                spec = _spec(arch, patched, variant_of(feature, Preemption(model), isolated=True), users)
                checked = compare_abi(spec, store)
                click.echo(json.dumps(checked.as_json_object()) if as_json else checked.for_people())
                same &= checked.proves
    sys.exit(0 if same else 1)


def _spec(arch: str, source: KernelSource, variant: Variant, users: Mapping[str, UserConfig]) -> KernelSpec:
    """A kernel to compare.

    Raises ModcompatError if the series is not for the architecture, or if only others have a configuration.
    """
    require_isolation(ARCHITECTURES[arch])
    if not users:
        return KernelSpec(ARCHITECTURES[arch], source, variant_named(variant.name))
    require_for([arch], users)
    config = users[arch]
    return KernelSpec(ARCHITECTURES[arch], source, variant.on_user_config, config.has_versions, config)


@isolate.command("prove")
@_source
@_arches
@_features
@_models
@click.option("-n", "workers", type=WORKERS, help=GUESTS, **USUAL_GUESTS)
@_output
def isolate_prove(
    *,
    source: str,
    arches: tuple[str, ...],
    features: tuple[str, ...],
    models: tuple[str, ...],
    workers: str,
    output: Path | None,
) -> None:
    """Apply the series, build, compare, and run every module.

    This is the whole proof of the series on a kernel tree. The tree is not changed. Building takes some minutes for
    each kernel. At the end, it prints a table with a line for each isolated kernel.

    Exit status 0 if no kernel differs and all modules are CLEAN, 1 if not, 2 on an error.
    """
    for arch in arches:
        require_isolation(ARCHITECTURES[arch])
    store, settings = Store(), Settings(source=source)
    plain = find_source(source, store)
    patched = isolated(plain, store)
    patched.tree()
    click.echo(f"{len(series_for(plain))} patches fit {plain.label}")
    chosen = narrow(
        MATRICES["isolated"],
        boards=choose_boards([], arches),
        features=features_named(features),
        preemptions=map(Preemption, models),
    )
    wanted = kernels(chosen)
    build_kernels(wanted, settings)
    checks = []
    for board, variant in wanted:
        if variant.isolated:
            checks.append(compare_abi(KernelSpec(board.arch, patched, variant), store))
            click.echo(checks[-1].for_people())
    narrowed = (("--arch", arches), ("--feature", features), ("--preemption", models))
    status, result = run_cells("isolated", workers, narrowed, ["--kernel-source", absolute(source)])
    rows = json.loads(result.read_text())["cells"]
    click.echo(proof_table([it.as_json_object() for it in checks], rows))
    facts = {"source": plain.label, "kernels": [it.as_json_object() for it in checks], "cells": rows}
    _keep("proof", facts, output, record=False)
    sys.exit(status or (0 if all(it.proves and not it.not_built for it in checks) else 1))


@isolate.command("bugs")
@_board
@click.option("--feature", "features", multiple=True, type=FEATURE, help="Only bugs of these features (repeatable).")
@_source
@_output
@_record
def isolate_bugs(*, board: str, features: tuple[str, ...], source: str, output: Path | None, record: bool) -> None:
    """Run every deliberate bug on stock and isolated kernels.

    The output shows which kernels report it. Kernels are built first, but only those of the chosen bugs. Locks shared
    by two modules are tried with the bugs of the features in "all".

    Exit status: 0 if each bug is reported where the catalogue expects it, 1 if one is not, 2 on an error or if one
    could not be committed; results of the others are kept.
    """
    place, settings = _one(board), _measured_on(source, record=record)
    require_isolation(place.arch)
    wanted = {feature.name for feature in features_named(features)} or {bug.feature for bug in BUGS}
    chosen = [bug for bug in BUGS if bug.feature in wanted]
    if not chosen:
        known_names = ", ".join(dict.fromkeys(bug.feature for bug in BUGS))
        raise ModcompatError(f"there are no bugs of {', '.join(features)}", next_step=f"there are of {known_names}")
    known = records.load("bugs").get(place.arch.name) if record and len(chosen) < len(BUGS) else None
    around = records.circumstances(place, settings, chosen[0].variant(Where.STOCK))
    if known:
        records.require_comparable(known, around)
    rows, failures = bug_runner.run_catalogue(place, settings, chosen)
    mixed: list[dict[str, Any]] = []
    if any(bug.kernel.name == "all" for bug in chosen):
        try:
            mixed = bug_runner.run_mixed(place, settings)
        except (ModcompatError, GuestLostError) as error:
            failures.append(f"shared locks: {error}")
    for row in rows:
        click.echo(f"{row['bug']}: {row['what']}")
        for where in Where:
            click.echo(f"    {where}: {row[where] or 'not reported'}")
    for row in mixed:
        click.echo(f"{row['lender']} lends, {row['borrower']} borrows: {row['said']}; {row['reports'] or 'no report'}")
    measured = around | {"bugs": rows, "mixed": mixed}
    _keep("bugs", records.with_bugs(known, measured) if known else measured, output, record=record)
    wrong = bug_runner.unexplained(rows, place.arch.name) + [
        f"shared locks: {row}" for row in mixed if not bug_runner.passed(row)
    ]
    for line in wrong:
        click.echo(f"unlike the catalogue: {line}", err=True)
    for failure in failures:
        click.echo(f"not committed: {failure}", err=True)
    sys.exit(2 if failures else 1 if wrong else 0)


@isolate.command("selftest")
@_board
@click.option(
    "--feature",
    type=click.Choice(list(selftests.SUITES)),
    default="all",
    show_default=True,
    help="The feature whose kernels run the tests.",
)
@click.option("--boot/--no-boot", default=True, help="Also run the tests that run at boot, on two more kernels.")
@_source
@_output
@_record
def isolate_selftest(*, board: str, feature: str, boot: bool, source: str, output: Path | None, record: bool) -> None:
    """Run the kernel's own tests of the code that the series changes.

    They run on stock and isolated kernels, which are built first. Exit status 0 if isolated kernels give the results of
    the stock kernel, 1 if a test fails or prints something else, 2 on an error.
    """
    place, settings = _one(board), _measured_on(source, record=record)
    require_isolation(place.arch)
    suite = selftests.SUITES[feature]
    rows = []
    for run in (selftests.run_module_tests, *([selftests.run_boot_tests] if boot else [])):
        for row in run(place, settings, suite):
            rows.append(row)
            click.echo(f"{'same as stock' if selftests.passed(row) else 'UNLIKE STOCK'}: {row['test']}")
            for where in selftests.PLACES:
                click.echo(f"    {where}: {row.get(where, 'not run')}")
    facts = records.circumstances(place, settings, suite.variant(Where.STOCK)) | {"selftests": rows}
    _keep("selftests", facts | ({} if feature == "all" else {"feature": feature}), output, record=record)
    sys.exit(0 if all(selftests.passed(row) for row in rows) else 1)


def _measured_on(source: str, *, record: bool) -> Settings:
    """The settings of a measurement. Records are of one kernel, so that their figures can be compared."""
    if record:
        require_checkout("--record")
        if source != DEFAULT_PACKAGE:
            raise ModcompatError(
                f"--record keeps measurements of {DEFAULT_PACKAGE}, not of {source}", next_step="write a file: --output"
            )
    return Settings(source=absolute(source))


def _one(board: str) -> Board:
    found = choose_boards([board], [])
    if len(found) != 1:
        raise ModcompatError(f"{board} is not one board", next_step=f"one of {', '.join(one.id for one in found)}")
    return found[0]


def _keep(what: str, measured: dict[str, Any], output: Path | None, *, record: bool) -> None:
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n")
        click.echo(f"written: {output}")
    if record:
        path = records.record(what, measured)
        PAGE.write_text(isolation_page(PAGE.read_text()))
        click.echo(f"recorded; review the difference, then commit {path} and {PAGE}")
