# SPDX-License-Identifier: Apache-2.0
"""Account for what the kernel prints: `.venv/bin/python scripts/kernel_messages.py 6.1=TREE 6.12=TREE ...`

Reads the module loader and the kernel's own reporting functions in kernel trees, and writes
docs/reference/kernel-messages.md: each text that they print, with the kind of report that the detector takes it for, or
the reason why it is none. scripts/kernel_messages.toml has the files, the functions that print, and the reasons. Exit
status 1 if a text has neither; it is printed. tests/unit/detect/test_kernel_messages.py checks the page without trees.
"""

import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from harness.detect.body_lines import BODY_LINE
from harness.detect.kinds import KINDS
from harness.detect.scan import identify
from harness.support.paths import PROJECT

TABLE = PROJECT / "scripts/kernel_messages.toml"
PAGE = PROJECT / "docs/reference/kernel-messages.md"
NO_KIND = ""
_LEVELS_OF_NEWS = ("info", "notice", "debug", "devel")

_LEVEL = re.compile(r"\b(?:log_?)?(?:lvl|level)\b|\bloglvl\b|^KERN_\w+$|\bmode\b$")  # an argument that is a log level
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_LITERAL = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)+\'')
_SPECIFIER = re.compile(
    r"%(?P<flags>[-+ #0]*)(?:\d+|\*)?(?:\.(?:\d+|\*))?(?:hh|h|ll|l|z|t|j)?"
    r"(?P<type>[%diouxXcsp])(?P<extension>[A-Za-z]\w*)?"
)
_PR_FMT = re.compile(r"^#\s*define pr_fmt\(\w+\)\s+(?P<words>.*)$", re.MULTILINE)
_TEXT_MACRO = re.compile(r'^#\s*define (?P<name>[A-Z_]\w*)\s+(?P<text>"(?:[^"\\\n]|\\.)*")\s*$', re.MULTILINE)
_FUNCTION = re.compile(r"^(?P<head>[a-zA-Z_][^\n;={}#]*?\b(?P<name>\w+)\([^;{}#]*?\)[^;{}()#]*?)\n\{", re.MULTILINE)
_AT_BOOT = re.compile(r"\b__(?:mem)?init\b")
_ROW = re.compile(r"\| `(?P<form>.*)` \| (?P<versions>[^|]*) \| (?P<result>[^|]*) \|$")
_ESCAPES = {"\\n": "\n", "\\t": "\t", '\\"': '"', "\\\\": "\\", "\\0": "", "\\r": ""}
# What a specifier prints, in a report about a module `vendor`
_POINTERS = {
    "S": "vendor_run+0x10/0x20 [vendor]", "B": "vendor_run+0x10/0x20 [vendor]", "s": "vendor_run",
    "K": "00000000deadbeef",
    "x": "ffffffffc0002000", "V": "vendor: text", "e": "-ENOMEM", "h": "00 01 02 03", "d": "vendor", "D": "vendor",
    "b": "0-1", "U": "00000000-0000-0000-0000-000000000000",
}  # fmt: skip
_VALUES = {"d": "1", "i": "1", "u": "1", "o": "1", "x": "1f", "X": "1F", "c": "x", "s": "vendor", "%": "%"}
_HEXADECIMAL = {4: "0002", 8: "c0002000", 16: "ffffffffc0002000"}


@dataclass(frozen=True)
class Text:
    """One line that a call prints."""

    file: str  # in the kernel's tree
    function: str  # that prints it, "" if it is not known
    form: str  # its format string, with the prefix of pr_fmt()
    printer: str  # the function or macro that prints it
    at_boot: bool  # the function is marked as __init


@dataclass(frozen=True)
class Row:
    """A row of the page."""

    file: str
    form: str
    kind: str  # of the report that the text announces, "" if it announces none
    why: str  # it announces none, "" if it announces one
    versions: list[str]


@dataclass(frozen=True)
class Printer:
    """A function or macro that prints its argument."""

    template: str = "{}"  # a format string around the argument's text
    takes_prefix: bool = False  # the file's pr_fmt() precedes its text


@dataclass(frozen=True)
class Reason:
    """Why texts are no reports."""

    why: str
    pattern: re.Pattern[str]
    files: re.Pattern[str]


@dataclass(frozen=True)
class Rules:
    """scripts/kernel_messages.toml."""

    files: tuple[str, ...]  # glob patterns
    names: dict[str, str]  # file -> KBUILD_MODNAME, where that is not the file's name
    included_by: dict[str, str]  # header with code -> the file whose pr_fmt() it uses
    printers: dict[str, Printer]
    continuing: re.Pattern[str]  # functions that add to a line
    warning: re.Pattern[str]  # functions that print a WARNING line themselves
    instances: dict[str, str]  # format whose text depends on more than itself -> a text
    reasons: tuple[Reason, ...]


def read_rules() -> Rules:
    raw = tomllib.loads(TABLE.read_text())
    printers = {name: Printer(takes_prefix=name.startswith("pr_")) for name in raw["printers"]["plain"]}
    printers |= {name: Printer(template) for name, template in raw["printers"]["around"].items()}
    reasons = tuple(
        Reason(reason["why"], re.compile("|".join(reason["texts"])), re.compile(reason.get("files", "")))
        for reason in raw["left_out"]
    )
    words = raw["printers"]
    return Rules(
        tuple(raw["files"]),
        raw["names"],
        raw["included_by"],
        printers,
        re.compile(words["continuing"]),
        re.compile(words["warning"]),
        raw["instances"],
        reasons,
    )


def texts_in(tree: Path, rules: Rules) -> Iterator[Text]:
    """Every text that the files of a tree print, each of its lines on its own."""
    patterns = [pattern for braces in rules.files for pattern in expanded(braces)]
    files = sorted({path for pattern in patterns for path in tree.glob(pattern) if path.is_file()})
    for path in files:
        file = str(path.relative_to(tree))
        source = path.read_text(errors="replace")
        if includer := rules.included_by.get(file):
            source = _pr_fmt_line(tree / includer) + source
        if name := rules.names.get(file):
            source = source.replace("KBUILD_MODNAME", f'"{name}"')
        yield from texts_of(file, source, rules.printers)


def _pr_fmt_line(path: Path) -> str:
    found = _PR_FMT.search(path.read_text(errors="replace"))
    return found[0].replace("KBUILD_MODNAME", f'"{path.stem}"') + "\n" if found else ""


def expanded(pattern: str) -> list[str]:
    """The patterns that a pattern with {a,b} stands for."""
    found = re.search(r"\{([^}]*)\}", pattern)
    if not found:
        return [pattern]
    return [
        one
        for word in found[1].split(",")
        for one in expanded(pattern[: found.start()] + word + pattern[found.end() :])
    ]


def texts_of(file: str, source: str, printers: dict[str, Printer]) -> Iterator[Text]:
    """Every text that a source file prints."""
    code = _COMMENT.sub(lambda found: re.sub(r"[^\n]", " ", found[0]) if found[0][0] == "/" else found[0], source)
    code = code.replace("\\\n", "  ")
    prefix = _PR_FMT.search(code)
    before = _literal(prefix["words"], _macros(code), file) if prefix else ""
    macros = _macros(code)
    functions = [
        (found.start(), found["name"], bool(_AT_BOOT.search(found["head"]))) for found in _FUNCTION.finditer(code)
    ]
    calls = re.compile(rf"(?<![\w.>])(?P<name>{'|'.join(map(re.escape, printers))})\s*\(")
    for call in calls.finditer(code):
        inside = next((entry for entry in reversed(functions) if entry[0] < call.start()), (0, "", False))
        printer = printers[call["name"]]
        arguments = [
            inside[1] and f'"{inside[1]}"' if each == "__func__" else each for each in _arguments(code, call.end())
        ]
        for text in _format(arguments, macros, file):
            whole = printer.template.replace("{}", (before if printer.takes_prefix else "") + text)
            for line in whole.replace("\r", "").split("\n"):
                if line.strip():
                    yield Text(file, inside[1], line, call["name"], inside[2])


def _macros(code: str) -> dict[str, str]:
    return {found["name"]: found["text"] for found in _TEXT_MACRO.finditer(code)}


def _literal(words: str, macros: dict[str, str], file: str) -> str:
    """The text of adjacent literals, in which KBUILD_MODNAME is the name of the file."""
    for name, text in macros.items():
        words = re.sub(rf"\b{name}\b", lambda _, text=text: text, words)  # type: ignore[misc]
    words = re.sub(r"\bKBUILD_MODNAME\b", f'"{Path(file).stem}"', words)
    words = re.sub(r"\bPRI([xdu])(?:64|32|PTR)\b", r'"ll\1"', words)
    text = "".join(_STRING.findall(words))
    return re.sub(r'\\[nt"\\0r]|\\(?:001|x01)[0-7cd]?', lambda found: _ESCAPES.get(found[0], ""), text)


def _arguments(code: str, start: int) -> list[str]:
    """The arguments of a call, from behind its parenthesis."""
    found, depth, place = [""], 0, start
    while place < len(code) and place - start < 4000:
        literal = _LITERAL.match(code, place)
        if literal:
            found[-1] += literal[0]
            place = literal.end()
            continue
        char = code[place]
        place += 1
        if char == ")" and not depth:
            break
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(char, 0)
        if char == "," and not depth:
            found.append("")
        else:
            found[-1] += char
    return [argument.strip() for argument in found]


def _format(arguments: list[str], macros: dict[str, str], file: str) -> Iterator[str]:
    """The format of a call: its first argument with a literal. An inner call has the literal of something else."""
    place = next((place for place, each in enumerate(arguments) if '"' in each or each in macros), None)
    if place is None:
        return
    form = arguments[place]
    if re.search(r"\w\([^)]*\"", form):
        return
    condition = re.split(r"\?|:(?=[^\"]*(?:\"[^\"]*\"[^\"]*)*$)", form) if re.search(r"\?\s*\"", form) else [form]
    alternatives = [_literal(part, macros, file) for part in condition]
    values = arguments[place + 1 :]
    for text in filter(None, alternatives):
        if values and text.startswith("%s") and _LEVEL.search(values[0]):
            yield from _with_words(text.removeprefix("%s"), values[1:])
        else:
            yield from _with_words(text, values)


def _with_words(text: str, values: list[str]) -> Iterator[str]:
    """The text, for each word that a value may have: `%s` with `is_read ? "read" : "write"`."""
    specifiers = [found for found in _SPECIFIER.finditer(text) if found["type"] != "%"]
    if any("*" in found[0] for found in specifiers) or len(specifiers) != len(values):
        yield text
        return
    choices = [
        (
            found.span(),
            [word for word in _STRING.findall(value) if word and "\\" not in word] if found["type"] == "s" else [],
        )
        for found, value in zip(specifiers, values, strict=True)
    ]
    for number in range(max((len(words) for _, words in choices), default=0) or 1):
        whole = text
        for (start, end), words in reversed(choices):
            if words and "(" not in values[choices.index(((start, end), words))]:
                whole = whole[:start] + words[min(number, len(words) - 1)] + whole[end:]
        yield whole


def printed(form: str) -> str:
    """The text as the kernel might print it about a module `vendor`."""

    def value(found: re.Match[str]) -> str:
        if found["type"] == "p":
            return _POINTERS.get((found["extension"] or "K")[0], "00000000deadbeef")
        ending = found["extension"] or ""
        if found["type"] in "xX" and (width := re.search(r"(?:^%0|\.)(\d+)", found[0])):
            return _HEXADECIMAL.get(int(width[1]), "1f") + ending
        return _VALUES[found["type"]] + ending

    return _SPECIFIER.sub(value, form)


def judge(form: str, printer: str, rules: Rules, *, file: str = "", at_boot: bool = False) -> tuple[str, str]:
    """The kind of report that a text announces, or "" and the reason why it announces none; ("", "") if neither."""
    line = rules.instances.get(form) or printed(form)
    head = identify(line)
    if head and head.kind.name != "unclaimed":
        return head.kind.name, ""
    matching = (it.why for it in rules.reasons if it.pattern.search(form) and it.files.search(file))
    general = (
        (at_boot, "printed while the kernel boots, by an __init function"),
        (rules.warning.search(printer), "text of a WARN(), whose own line is found"),
        (head or BODY_LINE.match(line), "part of a report, if one is open"),
        (rules.continuing.search(printer), "continues a line"),
        (any(f"pr_{level}" in printer for level in _LEVELS_OF_NEWS), "printed as information"),
    )
    return NO_KIND, next(matching, "") or next((why for applies, why in general if applies), "")


def rows_of(trees: list[tuple[str, Path]], rules: Rules) -> list[Row]:
    """What every tree prints, with the versions that print it, in the order of files and texts."""
    rows: dict[tuple[str, str], Row] = {}
    for version, tree in trees:
        for text in texts_in(tree, rules):
            kind, why = judge(text.form, text.printer, rules, file=text.file, at_boot=text.at_boot)
            row = rows.setdefault((text.file, text.form), Row(text.file, text.form, kind, why, []))
            if version not in row.versions:
                row.versions.append(version)
    return [row for _, row in sorted(rows.items())]


def page(rows: list[Row], versions: list[str]) -> str:
    """docs/reference/kernel-messages.md."""
    lines = [
        "# Kernel messages", "", "<!-- Generated by scripts/kernel_messages.py; do not edit. -->", "",
        "What the module loader and the kernel's own reporting functions print, in Linux",
        f"{', '.join(versions[:-1])} and {versions[-1]}, and what the detector takes each line for: a",
        "[kind of report](report-kinds.md), or none, for a reason. `%s` and the like stand for a value. If no version",
        "is given, all of them print it. `scripts/kernel_messages.py` reads the kernel's source and writes this page;",
        "`scripts/kernel_messages.toml` has the files that it reads, and the reasons.", "",
    ]  # fmt: skip
    counts = Counter(row.kind or row.why for row in rows)
    found = sum(bool(row.kind) for row in rows)
    lines += [f"{len(rows)} texts, {found} of which announce a report:", ""]
    lines += ["| result | texts |", "|---|---|"]
    lines += [f"| {_result(name, name in _KINDS)} | {count} |" for name, count in counts.most_common()]
    for file, texts in groupby(rows, key=lambda row: row.file):
        lines += ["", f"## {file}", "", "| text | versions | result |", "|---|---|---|"]
        for row in texts:
            of = "" if row.versions == versions else ", ".join(row.versions)
            lines.append(f"| `{_cell(row.form)}` | {of} | {_result(row.kind or row.why, bool(row.kind))} |")
    return "\n".join(lines) + "\n"


_KINDS = {kind.name for kind in KINDS}


def _result(name: str, is_kind: bool) -> str:  # noqa: FBT001 - a cell of a table
    return f"**{name}**" if is_kind else name


def _cell(form: str) -> str:
    """A text for a cell: visible tabs and trailing spaces, and no character that ends the cell or the code."""
    return form.replace("\\", "\\\\").replace("\t", "\\t").replace("|", "\\|").replace("`", "\u02cb")


def read_page() -> list[Row]:
    """The rows of the page as it is committed; the versions of those that all versions print are left empty."""
    rows: list[Row] = []
    file = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            file = line.removeprefix("## ")
        elif file and (found := _ROW.match(line)):
            form = found["form"].replace("\u02cb", "`").replace("\\|", "|").replace("\\t", "\t").replace("\\\\", "\\")
            result = found["result"]
            is_kind = result.startswith("**")
            kind, why = (result.strip("*"), "") if is_kind else ("", result)
            rows.append(Row(file, form, kind, why, [version for version in found["versions"].split(", ") if version]))
    return rows


def main() -> int:
    rules = read_rules()
    trees = [(version, Path(tree)) for version, _, tree in (word.partition("=") for word in sys.argv[1:])]
    rows = rows_of(trees, rules)
    lacking = [row for row in rows if not row.kind and not row.why]
    for row in lacking:
        print(f"{row.file}: {row.form!r} ({', '.join(row.versions)})")
    if not lacking:
        PAGE.write_text(page(rows, [version for version, _ in trees]))
    print(f"{len(rows)} texts, {sum(bool(row.kind) for row in rows)} found, {len(lacking)} without a kind and a reason")
    return int(bool(lacking))


if __name__ == "__main__":
    sys.exit(main())
