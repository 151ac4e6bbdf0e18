# SPDX-License-Identifier: Apache-2.0
"""The options of a run, in one table.

Everything that takes options is generated from it: those of pytest, of `modcompat check` and `modcompat matrix`, the
`--modcompat-*` options, ini options and environment variables of the pytest plugin, and the keys of the manifest. To
add an option, add an entry here, and use its value.

This module imports the standard library only, because pytest loads it in every session of an environment that
modcompat is installed in. Names that other modules own are therefore references, which are resolved on use.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.support.inputs import (
    expanded,
    guest_memory,
    is_named_production,
    module_parameters,
    shard,
    symbols,
    timeout,
    timeout_scale,
)

GetOption = Callable[[str], Any]  # the name of an option -> its value; None, (), [] or False if it has none


class ValueKind(Enum):
    """The kind of an option's value."""

    TEXT = auto()
    FLAG = auto()
    INTEGER = auto()
    NUMBER = auto()
    PATH = auto()  # of a file or a folder
    SOURCE = auto()  # a kernel source tree, or a Debian package of one
    PRODUCTION = auto()  # the folder or a package of a kernel, or debian:PACKAGE


@dataclass(frozen=True)
class Names:
    """A reference to a collection of names: a dictionary, an enumeration or a list."""

    module: str
    attribute: str

    def __call__(self) -> tuple[str, ...]:
        collection: Collection[Any] = getattr(import_module(self.module), self.attribute)
        return tuple(map(str, collection))


@dataclass(frozen=True)
class Option:
    """An option of a run."""

    name: str  # on a command line: "--guest-memory"
    help: str  # one or two sentences
    metavar: str = "NAME"
    kind: ValueKind = ValueKind.TEXT
    default: Any = None  # in effect if no place gives a value; for the five features and the like, see the help
    choices: tuple[str, ...] | Names = ()  # the values that it takes; empty: any
    known: Names | None = None  # values for the completion by a shell; others may be valid, too
    repeatable: bool = False  # its value is a sequence
    manifest: str = ""  # its key in a manifest: "run.boards"
    affects_result: bool = False  # a cell can be run again only with the same value
    alias: str = ""  # a second spelling
    in_check: bool = True  # an option of `modcompat check`
    in_tests: bool = True  # an option of the pytest plugin for users' own tests: --modcompat-NAME
    check: Callable[[Any], Any] | None = None  # returns the value in its usual form, or raises ModcompatError

    @property
    def destination(self) -> str:
        """Its name as an identifier: guest_memory."""
        return self.name.removeprefix("--").replace("-", "_")

    @property
    def field(self) -> str:
        """The attribute of a Manifest that holds its value: the last word of its key."""
        return self.manifest.rpartition(".")[2]

    def values(self) -> tuple[str, ...]:
        """The values that it takes; empty: any."""
        return self.choices() if isinstance(self.choices, Names) else self.choices

    def normalized(self, value: Any, folder: Path = Path()) -> str:
        """A value as text that means the same in every folder.

        folder: that paths are relative to. Raises ModcompatError for the home folder of an unknown user.
        """
        return str((folder / expanded(value)).absolute()) if self._names_path(str(value)) else str(value)

    def _names_path(self, value: str) -> bool:
        if self.kind is ValueKind.SOURCE:
            return not import_module("harness.kernel.source").is_package(value)
        return self.kind is ValueKind.PATH or (self.kind is ValueKind.PRODUCTION and not is_named_production(value))


_BOARDS = Names("harness.guest.boards", "BOARDS")
_ARCHITECTURES = Names("harness.kernel.arch", "ARCHITECTURES")
_FEATURES = Names("harness.kernel.features", "FEATURES")
_MODELS = Names("harness.kernel.variants", "Preemption")
_FLAVOURS = Names("harness.lab.plan.cells", "Flavour")
_MATRICES = Names("harness.lab.plan.cells", "MATRICES")

OPTIONS = (
    Option("--board", "Boards to run on: q35, arm-virt, vexpress-a9 ... (repeatable).",
           known=_BOARDS, repeatable=True, manifest="run.boards"),
    Option("--arch", "Architectures to run on (repeatable).", "ARCH", known=_ARCHITECTURES, repeatable=True),
    Option("--flavour", "Kinds of kernels to run on [all]; the production control always runs first (repeatable).",
           choices=_FLAVOURS, repeatable=True, manifest="run.flavours", alias="--flavor", in_tests=False),
    Option("--feature", "Debug features [the five core features, or those of the matrix]: spinlock, slub, kasan ... "
           "(repeatable).", known=_FEATURES, repeatable=True, manifest="run.features", in_tests=False),
    Option("--preemption", "Preemption models of the kernels [none, or those of the matrix]; for both, give the option "
           "twice (repeatable).", choices=_MODELS, repeatable=True, in_check=False, in_tests=False),
    Option("--matrix", "A named set of cells: the five core features on one board per architecture (default), the "
           "isolation series (isolated), debug sets (debug-set), every feature on one board (features), the set of CI "
           "(ci), or nearly everything (nightly). Other options narrow it; --preemption replaces its models.",
           choices=_MATRICES, in_check=False, in_tests=False),
    Option("--kernel-source", "A kernel source tree, or the name of a Debian package that has one.", "DIR",
           ValueKind.SOURCE, default="linux-source-6.1", manifest="kernel.source", affects_result=True),
    Option("--production", "Production as it ships, which is not built: a folder with image, configuration and "
           "modules, its .deb or .rpm packages, or debian:[SUITE/]PACKAGE; one per architecture (repeatable).", "WHAT",
           ValueKind.PRODUCTION, repeatable=True, manifest="kernel.production", affects_result=True),
    Option("--config", "The .config of the production kernel, one per architecture (repeatable).", "FILE",
           ValueKind.PATH, repeatable=True, affects_result=True),
    Option("--allow-config-additions", "Add Kconfig options that modcompat needs and --config lacks, to production and "
           "debug kernels alike. They may change the module ABI; the report names the difference.",
           kind=ValueKind.FLAG, manifest="kernel.allow_config_additions", affects_result=True),
    Option("--allow-config-change", "A Kconfig option that may differ between production and debug kernels "
           "(repeatable).", "SYMBOL", repeatable=True, manifest="kernel.allow_config_changes", affects_result=True,
           check=symbols),
    Option("--manifest", "A modcompat.toml with modules, kernels and allowed findings. Options override it.", "FILE",
           ValueKind.PATH, affects_result=True),
    Option("--module", "A module to judge instead of the modules of this project (repeatable).", "FILE.ko",
           ValueKind.PATH, repeatable=True, affects_result=True, in_check=False, in_tests=False),
    Option("--module-params", "Parameters to load the modules with, as for insmod.", "TEXT", default="",
           affects_result=True, in_tests=False, check=module_parameters),
    Option("--exercise", "A Python file that uses the modules in the guest [they are only loaded and unloaded].",
           "FILE.py", ValueKind.PATH, affects_result=True, in_tests=False),
    Option("--shard", "Run only the I-th of N parts, one for each machine; `modcompat merge` joins their runs.", "I/N",
           affects_result=True, in_tests=False, check=shard),
    Option("--run-dir", "Folder for logs, evidence and reports [runs/<time>].", "DIR", ValueKind.PATH),
    Option("--ignore-versions", "On stock debug kernels, load modules in spite of vermagic and MODVERSIONS, as `insmod "
           "-f` does (the kernel needs MODULE_FORCE_LOAD).", kind=ValueKind.FLAG, affects_result=True, in_tests=False),
    Option("--shared-uart", "Kernel log and commands on one serial port, for kernels that have no second one: weaker "
           "evidence.", kind=ValueKind.FLAG, manifest="run.shared_uart", affects_result=True),
    Option("--guest-memory", "Memory of a guest in MiB [128; 512 on a configuration of your own, and 1024 with KASAN].",
           "MIB", ValueKind.INTEGER, manifest="run.memory", affects_result=True, check=guest_memory),
    Option("--root", "A root file system for the commands of exercises, one per architecture: a folder, a cpio "
           "archive, an ext2/3/4 or squashfs image (repeatable).", "PATH", ValueKind.PATH, repeatable=True,
           manifest="run.roots", affects_result=True),
    Option("--accelerator", "How guests run. auto: KVM if a kernel boots under it, otherwise TCG.", default="auto",
           choices=("auto", "tcg", "kvm"), affects_result=True),
    Option("--boot-timeout", "Time limit for the boot of a guest, in seconds.", "S", ValueKind.NUMBER, default=60.0,
           affects_result=True, check=timeout),
    Option("--command-timeout", "Time limit for a command in a guest, in seconds; after it, the guest counts as hung.",
           "S", ValueKind.NUMBER, default=15.0, affects_result=True, check=timeout),
    Option("--timeout-scale", "Multiply every timeout, for slow machines.", "X", ValueKind.NUMBER, default=1.0,
           manifest="run.timeout_scale", affects_result=True, check=timeout_scale),
    Option("--core-dump", "Keep the memory of each guest whose cell is not CLEAN, as a core file for crash(8): 128 MB "
           "each or more.", kind=ValueKind.FLAG),
)  # fmt: skip

BY_NAME: Mapping[str, Option] = {option.name: option for option in OPTIONS}


def is_set(value: Any) -> bool:
    """Whether an option has a value. The number 0 is one, which a check may refuse."""
    return bool(value) or (isinstance(value, int | float) and not isinstance(value, bool))


def checked(option: Option, value: Any) -> Any:
    """The value of an option, or its default if it has none. Raises ModcompatError for an invalid value."""
    if not is_set(value):
        return () if option.repeatable else False if option.kind is ValueKind.FLAG else option.default
    return option.check(value) if option.check else value


def non_default(values: Mapping[str, Any]) -> Iterator[tuple[Option, str]]:
    """Each option with each of its values that is not the default, in the form that is valid in every folder.

    values: option name -> value. Options that are not in it are left out. A source that is given is never the default:
    production as it ships chooses another one.
    """
    for option in OPTIONS:
        value = values.get(option.name)
        for each in (value or ()) if option.repeatable else (value,):
            if each and (each != option.default or option.kind is ValueKind.SOURCE):
                yield option, option.normalized(each)


def command_line(values: Mapping[str, Any]) -> list[str]:
    """Options with these values as words of a command line, --NAME=VALUE, that mean the same in every folder."""
    return [
        option.name if option.kind is ValueKind.FLAG else f"{option.name}={value}"
        for option, value in non_default(values)
    ]
