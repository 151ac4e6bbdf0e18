# SPDX-License-Identifier: Apache-2.0
"""Find out which debug option each exported symbol depends on: `.venv/bin/python scripts/symbol_options.py TREE ...`

Reads kernel trees, the newest last, and writes harness/abi/predict/symbol_options.txt. A symbol depends on an option if
its EXPORT_SYMBOL() is between `#ifdef CONFIG_X` and `#endif`, or in a file or folder of `obj-$(CONFIG_X)`. Only options
of the kernel's debugging menus count, and of those the innermost.
"""

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from harness.support.paths import PROJECT

TABLE = PROJECT / "harness/abi/predict/symbol_options.txt"
_FOLDERS = (
    "kernel",
    "mm",
    "lib",
    "fs",
    "net/core",
    "block",
    "init",
    "arch/x86",
    "arch/arm",
    "arch/arm64",
    "arch/riscv",
)
_MENUS = (
    "lib/Kconfig.debug", "lib/Kconfig.kasan", "lib/Kconfig.kcsan", "lib/Kconfig.kfence", "lib/Kconfig.kmsan",
    "lib/Kconfig.ubsan", "lib/Kconfig.kgdb", "mm/Kconfig.debug", "kernel/rcu/Kconfig.debug", "kernel/gcov/Kconfig",
    "kernel/trace/Kconfig", "init/Kconfig.debug", "arch/x86/Kconfig.debug",
)  # fmt: skip
# Options that users do not set, but that those of the menus select, or that change what the compiler inserts
_FURTHER = ("TRACEPOINTS", "TRACE_IRQFLAGS", "PREEMPT_COUNT", "KALLSYMS", "PARAVIRT", "PARAVIRT_XXL", "PREEMPT_RT")
_EXPORT = re.compile(r"^\s*EXPORT_(?:PER_CPU_)?SYMBOL(?:_GPL|_NS|_NS_GPL)?\s*\(\s*(?P<symbol>[A-Za-z_]\w*)\s*[,)]")
_DIRECTIVE = re.compile(r"#\s*(?P<word>ifdef|ifndef|if|elif|else|endif)\b\s*(?P<rest>.*)")
_ENABLED = re.compile(r"(?:IS_ENABLED\(CONFIG_(\w+)\)|defined\s*\(?\s*CONFIG_(\w+)\s*\)?)(?:\s*/\*.*)?")
_OPTION = re.compile(r"^(?:menu)?config (\w+)", re.MULTILINE)
_OBJECTS = re.compile(r"^obj-(?:\$\(CONFIG_(?P<option>\w+)\)|y)\s*[+:]?=\s*(?P<files>.*)$", re.MULTILINE)
_UNKNOWN = "?"  # a condition that is not one option


def menu_options(tree: Path) -> frozenset[str]:
    """The options of the debugging menus."""
    menus = [tree / menu for menu in _MENUS if (tree / menu).exists()]
    return frozenset(_FURTHER).union(*(_OPTION.findall(menu.read_text()) for menu in menus))


def conditions_in(tree: Path) -> dict[str, list[tuple[str, ...]]]:
    """For each export of a symbol, the options that it depends on, outermost first; `!X` stands for `#ifndef`."""
    found: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for folder in _FOLDERS:
        for symbol, options in _in_folder(tree / folder, ()):
            found[symbol].append(options)
    return found


def _in_folder(folder: Path, outer: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    needs = _needs(folder / "Makefile")
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        name = f"{path.name}/" if path.is_dir() else f"{path.stem}.o"
        options = (*outer, *needs.get(name, ()))
        if path.is_dir():
            yield from _in_folder(path, options)
        elif path.suffix in (".c", ".S"):
            for symbol, conditions in exports_of(path.read_text(errors="replace")):
                yield symbol, (*options, *conditions)


def _needs(makefile: Path) -> dict[str, tuple[str, ...]]:
    """The option that each object or folder of a Makefile depends on, if it is exactly one."""
    if not makefile.exists():
        return {}
    found: dict[str, set[str]] = defaultdict(set)
    for line in _OBJECTS.finditer(makefile.read_text(errors="replace").replace("\\\n", " ")):
        for name in line["files"].split():
            found[name].add(line["option"] or "")
    return {name: tuple(options) for name, options in found.items() if len(options) == 1 and "" not in options}


def exports_of(source: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The symbols that a source file exports, each with the options whose #ifdef it is in."""
    stack: list[str] = []
    for line in source.splitlines():
        if directive := _DIRECTIVE.match(line):
            _follow(directive["word"], directive["rest"].strip(), stack)
        elif export := _EXPORT.match(line):
            yield export["symbol"], tuple(stack)


def _follow(word: str, rest: str, stack: list[str]) -> None:
    """Follow a directive; `stack` has the condition of each #if that is open."""
    if word in ("ifdef", "ifndef"):
        name = rest.split(maxsplit=1)[0] if rest else ""
        condition = name.removeprefix("CONFIG_") if name.startswith("CONFIG_") else _UNKNOWN
        stack.append(condition if word == "ifdef" else _opposite(condition))
    elif word == "if":
        enabled = _ENABLED.fullmatch(rest)
        stack.append((enabled[1] or enabled[2]) if enabled else _UNKNOWN)
    elif stack:
        condition = stack.pop()
        if word == "else":
            stack.append(_opposite(condition))
        elif word == "elif":
            stack.append(_UNKNOWN)


def _opposite(condition: str) -> str:
    if condition == _UNKNOWN:
        return _UNKNOWN
    return condition[1:] if condition.startswith("!") else f"!{condition}"


def option_of(exports: list[tuple[str, ...]], menu: frozenset[str]) -> str:
    """The innermost option of the menus that all exports of a symbol depend on, "" if there is none."""
    common = set(exports[0]).intersection(*exports[1:])
    fitting = [option for option in exports[0] if option in common and option.removeprefix("!") in menu]
    return fitting[-1] if fitting else ""


def table(trees: list[Path]) -> str:
    """The contents of the table. If trees differ in the option of a symbol, the newest decides."""
    chosen: dict[str, str] = {}
    for tree in trees:
        menu = menu_options(tree)
        options = ((symbol, option_of(exports, menu)) for symbol, exports in conditions_in(tree).items())
        chosen |= {symbol: option for symbol, option in options if option}
    lines: dict[str, list[str]] = defaultdict(list)
    for symbol, option in chosen.items():
        lines[option].append(symbol)
    return "".join(f"{option}: {' '.join(sorted(symbols))}\n" for option, symbols in sorted(lines.items()))


def main() -> None:
    if not sys.argv[1:]:
        sys.exit(__doc__)
    TABLE.write_text(table([Path(tree) for tree in sys.argv[1:]]))


if __name__ == "__main__":
    main()
