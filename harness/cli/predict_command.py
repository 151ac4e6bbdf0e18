# SPDX-License-Identifier: Apache-2.0
"""modcompat predict."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.abi.elf.module_file import ModuleFacts, inspect_module
from harness.abi.predict.loader import PredictedOutcome
from harness.abi.predict.prediction import Prediction
from harness.cli.kernel_options import kernel_options, settings_of, variant_on
from harness.cli.param_types import KERNEL
from harness.cli.path_param import PathParam
from harness.guest.boards import default_board
from harness.kernel.arch import Architecture
from harness.kernel.features import CORE_FEATURES, FEATURES
from harness.kernel.user_config import require_for
from harness.kernel.variants import Preemption, Variant, preemption_of, variant_of
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from harness.report.table import COLOURS
from harness.support.errors import ModcompatError
from harness.support.inputs import expanded
from harness.support.progress import PipeConsole, say
from harness.support.text import and_more, join_some, visible

_INFO = ("version", "srcversion", "retpoline", "intree", "staging", "module_abi")
_SHOWN = 6  # structures that differ, and names of a long list
_TOLD = (
    "__mcount_loc", "__patchable_function_entries", "__tracepoints", "__jump_table", "__ex_table", "__bug_table",
    ".orc_unwind", ".altinstructions", ".init.plt", ".text.ftrace_trampoline", ".BTF",
)  # fmt: skip


@click.command()
@click.argument("files", nargs=-1, type=PathParam(), metavar="[FILE.ko]...")
@click.option("--kernel", "kernels", multiple=True, type=KERNEL, help="Only these kernels (repeatable).")
@kernel_options
@click.option("--json", "as_json", is_flag=True, help="Print facts and predictions as one JSON object.")
def predict(*, files: tuple[Path, ...], kernels: tuple[str, ...], as_json: bool, **chosen: Any) -> None:
    """Predict whether modules survive, without booting a kernel.

    The output begins with facts about each module, from its file. Without FILE.ko, the modules are those of --manifest.

    Kernels are named production, stock-spinlock, isolated-all, stock-ftrace-preempt ... Without --kernel, they are
    production and the five core features, stock and isolated, in the preemption model of the module. Kernels are
    prepared once for this, but not built. With a single --kernel, the output has every finding, every structure that
    differs and that the module can reach, and every symbol and section of the module. With --config or --manifest,
    production is your kernel. The manifest's prebuilt kernels are included if they have a build tree.
    docs/explanation/prediction.md describes the limits.

    Exit status 0 if every module is predicted to be CLEAN, 1 if one is predicted to break, 2 on an error.
    """
    settings, manifest = settings_of(**chosen)
    files = files or tuple(module.file for module in manifest.modules if module.file)
    if not files:
        raise ModcompatError("no module was named", next_step="`modcompat predict vendor.ko`, or a manifest with some")
    modules = {file: inspect_module(file) for file in map(expanded, files)}
    named = [variant_on(name, settings) for name in kernels]
    require_for((module.arch.name for module in modules.values() if module.arch), settings.configs)
    console = PipeConsole(highlight=False)
    if not console.is_terminal:
        console.width = 150
    results: dict[Path, dict[str, Prediction]] = {}
    known = Kernels(settings)
    for file, module in modules.items():
        if module.arch is None:  # inspect_module() refuses this already
            raise ModcompatError(f"{file}: unknown architecture")
        if not as_json:
            _print_facts(console, file, module, whole=len(kernels) == 1)
        variants = named or _usual(module, module.arch, settings)
        results[file] = _predictions(known, file, module, module.arch, variants)
        if not as_json:
            _print(console, results[file])
    if as_json:
        rows = [_as_json(file, modules[file], result) for file, result in results.items()]
        click.echo(json.dumps({"schema": 1, "modules": rows}, indent=1))
    outcomes = {found.outcome for result in results.values() for found in result.values()}
    sys.exit(1 if outcomes - {PredictedOutcome.CLEAN} else 0)


def _predictions(
    known: Kernels, file: Path, module: ModuleFacts, arch: Architecture, variants: Iterable[Variant]
) -> dict[str, Prediction]:
    """Kernel -> prediction. Raises ModcompatError if there is none for any of the kernels."""
    board = default_board(arch)
    found = {variant.name: known.predict(file, module, board, variant) for variant in variants}
    if without := [name for name, prediction in found.items() if not prediction]:
        text = f"no prediction on {arch.name} for {', '.join(without)}: a prebuilt kernel came without its build tree"
        if len(without) == len(found):
            raise ModcompatError(text, next_step="name its build_tree in the manifest")
        say(text)
    return {name: prediction for name, prediction in found.items() if prediction}


def _usual(module: ModuleFacts, arch: Architecture, settings: Settings) -> list[Variant]:
    """Production, the five features and every prebuilt kernel.

    The preemption model is that of the module, or of the user's configuration.
    """
    users = settings.configs.get(arch.name)
    model = Preemption.NONE if users else preemption_of(module.vermagic)
    five = [FEATURES[name] for name in CORE_FEATURES]
    stock = [variant_of(feature, model) for feature in five]
    isolated = [variant_of(feature, model, isolated=True) for feature in five if arch.has_isolation]
    usual = [Variant(preemption=model), *stock, *isolated]
    usual = [variant.on_user_config for variant in usual] if users else usual
    theirs = [kernel.variant for (name, _), kernel in settings.prebuilt.items() if name == arch.name]
    return [*usual, *(variant for variant in theirs if variant not in usual)]


def _print_facts(console: Console, file: Path, module: ModuleFacts, *, whole: bool) -> None:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(module, _SHOWN if not whole else sys.maxsize):
        facts.add_row(Text(name), Text(visible(value)))
    console.print(Text(str(file), style="bold"))
    console.print(facts)


def _print(console: Console, result: dict[str, Prediction]) -> None:
    table = Table(title="prediction", title_justify="left")
    table.add_column("kernel", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("reason", overflow="fold", ratio=1)
    for kernel, found in result.items():
        table.add_row(Text(kernel), Text(found.outcome, style=COLOURS.get(found.outcome, "red")), Text(_reason(found)))
    console.print(table)
    if len(result) == 1:
        _print_findings(console, *result.values())


def _print_findings(console: Console, found: Prediction) -> None:
    """Print everything about one kernel: each finding with its phase, and the structures in reach that differ."""
    for finding in found.findings:
        console.print(Text(f"{finding.when.name.lower()}: {finding.outcome}: {finding.reason}"))
    table = Table(title="structures in reach that differ", title_justify="left")
    for heading in ("structure", "bytes", "moved", "through", "severity"):
        table.add_column(heading, overflow="fold")
    for reached in found.differing:
        change = reached.change
        runs = [f"{it.first.name} 0x{it.first.offset:x} → 0x{it.first.offset + it.by:x}" for it in change.shifts]
        more = and_more(len(runs) - 2, "runs")
        size = f"{change.before.size} → {change.after.size}" if reached.grew else str(change.before.size)
        table.add_row(
            *map(Text, (change.name, size, f"{', '.join(runs[:2])} {more}".rstrip(), reached.via, reached.severity))
        )
    if found.differing:
        console.print(table)


def _reason(found: Prediction) -> str:
    more = and_more(len(found.findings) - 1, "findings")
    return f"{found.reason} ({more})" if more else found.reason


def _facts(module: ModuleFacts, most: int) -> Iterable[tuple[str, str]]:
    """Facts about a module for people; empty ones are left out. most: the number of names to show from a list."""
    signature = module.signature
    code = [section for section in module.sections if "X" in section.flags]
    facts = {
        "name": module.name,
        "architecture": f"{module.arch.name if module.arch else 'unknown'}, {module.byte_order}-endian",
        "vermagic": module.vermagic.strip(),
        "licence": module.licence,
        "signature": f"by {signature.signer}, {signature.digest}" if signature else "none",
        "compiler": module.compiler,
        "struct module": f"{module.struct_size} bytes, init at {_at(module.init)}, exit at {_at(module.exit)}",
        "code, .bss": f"{sum(section.size for section in code)}, {module.bss} bytes",
        "parameters": _some([f"{it.name}{f' ({it.kind})' if it.kind else ''}" for it in module.parameters], most),
        "depends on": ", ".join(module.depends),
        "imports": _some([_with_crc(symbol.name, symbol.crc) for symbol in module.imports], most),
        "versions": "of each import (MODVERSIONS)" if module.versions else "none",
        "exports": _some(list(module.exports), most),
        "also has": ", ".join(name for name in _TOLD if module.has_section(name)),
        "sections": _some([f"{it.name} {it.size}" for it in module.sections], most) if most > _SHOWN else "",
        "modinfo": ", ".join(f"{key}={module.info[key][0]}" for key in _INFO if key in module.info),
    }
    return ((name, value) for name, value in facts.items() if value)


def _at(offset: int | None) -> str:
    return "no offset: it has none" if offset is None else f"0x{offset:x}"


def _with_crc(name: str, crc: int | None) -> str:
    return name if crc is None else f"{name} 0x{crc:08x}"


def _some(names: list[str], most: int) -> str:
    if not names:
        return ""
    return f"{len(names)}: {join_some(names, most)}"


def _as_json(file: Path, module: ModuleFacts, result: dict[str, Prediction]) -> dict[str, Any]:
    facts = asdict(module) | {"arch": module.arch.name if module.arch else None}
    kernels = {
        kernel: {
            "verdict": str(found.outcome),
            "reason": found.reason,
            "findings": [
                {"when": finding.when.name.lower(), "verdict": str(finding.outcome), "reason": finding.reason}
                for finding in found.findings
            ],
            "differing": [
                {
                    "structure": reached.change.name,
                    "size": [reached.change.before.size, reached.change.after.size],
                    "moved": {
                        shift.first.name: [shift.first.offset, shift.first.offset + shift.by, shift.count]
                        for shift in reached.change.shifts
                    },
                    "via": reached.via,
                    "severity": reached.severity,
                }
                for reached in found.differing
            ],
        }
        for kernel, found in result.items()
    }
    return {"file": str(file), "facts": facts, "kernels": kernels}
