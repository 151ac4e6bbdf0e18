# SPDX-License-Identifier: Apache-2.0
"""The options of pytest, in one table: what each takes, and what is told of it to who wants to run a cell again."""

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.guest.guest import Timing
from harness.kernel.arch import ARCHITECTURES
from harness.kernel.features import FEATURES
from harness.kernel.source import DEFAULT_PACKAGE, absolute
from harness.kernel.variants import Preemption
from harness.lab.plan.cells import MATRICES, Flavour
from harness.lab.plan.manifest import NAME
from harness.support.inputs import expanded
from harness.support.paths import PROJECT

Given = Callable[[str], Any]  # an option's name -> what was given, or its default


def _path(value: str) -> str:
    return str(expanded(value).absolute())


@dataclass(frozen=True)
class Option:
    """An option. kind: of its value; bool: a flag. default: where it is not given; of a repeatable one that is none.

    choices: what it takes, where not everything. matters: without it, a cell cannot be run again as it was.
    anywhere: makes of a value what means the same in any folder.
    """

    name: str
    help: str
    metavar: str | None = None
    kind: type = str
    default: Any = None
    choices: tuple[str, ...] = ()
    repeatable: bool = False
    matters: bool = False
    anywhere: Callable[[str], str] = str

    @property
    def arguments(self) -> dict[str, Any]:
        """What argparse's add_argument() is given of it."""
        if self.kind is bool:
            return {"action": "store_true", "help": self.help}
        found: dict[str, Any] = {"help": self.help, "metavar": self.metavar, "default": self.default}
        found |= {"type": self.kind} if self.kind is not str else {}
        found |= {"choices": self.choices} if self.choices else {}
        return found | ({"action": "append", "default": []} if self.repeatable else {})


OPTIONS = (
    Option("--board", "boards to run on, by name: q35, pc, virt, arm-virt, vexpress-a9 ... (repeatable)", "NAME",
           repeatable=True),
    Option("--arch", f"architectures to run on: {', '.join(ARCHITECTURES)} (repeatable)", "ARCH", repeatable=True),
    Option("--flavour", "kernels to run on; the production control always runs first (default: all; repeatable)",
           choices=tuple(map(str, Flavour)), repeatable=True),
    Option("--feature", f"debug features: {', '.join(FEATURES)} (repeatable)", "NAME", repeatable=True),
    Option("--preemption", "preemption models of the kernels (default: none; with `-k isolated` or `-k preempt` both; "
           "repeatable)", choices=tuple(map(str, Preemption)), repeatable=True),
    Option("--matrix", "a set of cells by name: the five features on a board of each architecture (default), the "
           "isolation series (isolated), every feature on one board (features), what CI runs (ci), or everything "
           "(nightly). The other options narrow it. Without this option, -k chooses among all features on all boards",
           choices=tuple(MATRICES)),
    Option("--kernel-source", f"a kernel source tree, or a Debian package of one (default: {DEFAULT_PACKAGE})", "DIR",
           matters=True, anywhere=absolute),
    Option("--config", "the .config that production was built with, in place of ours; one for each architecture "
           "(repeatable)", "FILE", repeatable=True, matters=True, anywhere=_path),
    Option("--allow-config-additions", "add to production and debug kernels alike what the harness needs and --config "
           "lacks; the module ABI may differ by it, and the report says in what", kind=bool, matters=True),
    Option("--allow-config-change", "let this option differ between production and debug kernels, beside the feature "
           "(repeatable)", "SYMBOL", repeatable=True, matters=True),
    Option("--manifest", f"a {NAME} that says all of this; options have precedence. `modcompat init` writes one",
           "FILE", matters=True, anywhere=_path),
    Option("--module", "judge this module in place of ours (repeatable)", "FILE.ko", repeatable=True, matters=True,
           anywhere=_path),
    Option("--module-params", "parameters to load it with, as for insmod", "TEXT", default="", matters=True),
    Option("--exercise", "the exercise for --module (default: load and unload only)", "FILE.py", matters=True,
           anywhere=_path),
    Option("--run-dir", "folder for logs and evidence (default: runs/<time>, with a link runs/latest)", "DIR"),
    Option("--shared-uart", "kernel log and commands on one UART: weaker evidence, for kernels that have nothing else",
           kind=bool, matters=True),
    Option("--guest-memory", "memory of a guest (default: 128; with --config 512)", "MIB", int, 0, matters=True),
    Option("--root", "a root file system that the commands of exercises run in: a folder, a cpio archive, an "
           "ext2/3/4 or squashfs image; one for each architecture (repeatable)", "PATH", repeatable=True, matters=True,
           anywhere=_path),
    Option("--accelerator", "auto takes KVM where a boot proves that it works (default: %(default)s)",
           default="auto", choices=("auto", "tcg", "kvm"), matters=True),
    Option("--boot-timeout", "longest time for a guest to boot (default: %(default)s s)", "S", float, Timing.boot,
           matters=True),
    Option("--command-timeout", "longest time for a command in the guest before it counts as hung (default: "
           "%(default)s s)", "S", float, Timing.command, matters=True),
    Option("--timeout-scale", "multiplies every timeout, for slow machines (default: 1)", "X", float, 0.0,
           matters=True),
    Option("--core-dump", "keep the memory of each guest whose cell is not CLEAN, as a core file for crash(8): 128 MB "
           "each or more", kind=bool),
    Option("--as-check", argparse.SUPPRESS, kind=bool),  # `modcompat check` runs this
    Option("--as-command", argparse.SUPPRESS, kind=bool),  # a command of ours does, and speaks as it
)  # fmt: skip


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("modcompat", "binary kernel modules on debug kernels")
    for option in OPTIONS:
        group.addoption(option.name, **option.arguments)


def worth_telling(values: Mapping[str, Any]) -> Iterator[tuple[Option, str]]:
    """Each option with each of its values that is not the default, as it is understood in any folder."""
    for option in OPTIONS:
        value = values.get(option.name, option.default)
        for each in (value or ()) if option.repeatable else (value,):
            if each and each != option.default:
                yield option, option.anywhere(str(each))


def reproduction(given: Given) -> str:
    """A command that runs cells again, with those options that they depend on; a shell can run it in any folder."""
    is_check = given("--as-check")
    words = [_program("modcompat"), "check"]
    if not is_check:
        words = [_program("pytest"), "-c", str(PROJECT / "pyproject.toml"), str(PROJECT / "harness/plugin/suite")]
    for option, value in worth_telling({option.name: given(option.name) for option in OPTIONS if option.matters}):
        words += [] if is_check and option.name == "--module" else [option.name]
        words += [] if option.kind is bool else [value]
    return shlex.join(words)


def joined(values: Mapping[str, Any]) -> list[str]:
    """Options with these values as words of a command, --NAME=VALUE, that mean the same in any folder."""
    return [option.name if option.kind is bool else f"{option.name}={value}" for option, value in worth_telling(values)]


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))
