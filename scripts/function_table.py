# SPDX-License-Identifier: Apache-2.0
"""Write harness/detect/function_roles.txt from kernel trees: python -m scripts.function_table [TREE...]

Without a tree, it reads Debian's packages in PACKAGES. It finds the functions that the trees define (ctags for C,
expressions for assembly, macros and exports), gives each its role by the rules in harness/detect/role_rules.toml, and
writes the names by role. `name*` stands for every function with this beginning. It is written if all functions of all
trees with this beginning have the same role, so that functions of later kernels follow. A name also stands for those
with more underscores before it that are not listed. The role "any" lists exceptions from these two rules.
"""

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.detect.roles import TABLE, Role, generated, known_as, parse, role_by_file
from harness.kernel.source import find_source
from harness.support.cache.store import Store

OUTPUT = Path(__file__).parent.parent / "harness/detect" / TABLE
PACKAGES = ("linux-source-5.10", "linux-source-6.1", "linux-source-6.12", "linux-source-7.3")
_FOLDERS = (
    "arch", "block", "crypto", "drivers", "fs", "include", "init", "io_uring", "ipc", "kernel", "lib", "mm", "net",
    "security", "virt",
)  # fmt: skip
# The architectures that the detector reads, without the code in them that does not run in the kernel
_NOT_KERNEL = re.compile(
    r"arch/(?!(?:arm|arm64|loongarch|mips|powerpc|riscv|s390|x86)/)|arch/[^/]+/(?:boot|tools|purgatory)/|"
    r"drivers/firmware/efi/libstub/|.*/nvhe/|.*/vdso/"
)
_DRIVER = re.compile(r"drivers/(?!base/)")
_CTAGS = ("ctags", "-R", "--languages=C", "--langmap=C:.c.h", "--kinds-C=f", "--fields=f", "--sort=no", "-f", "-")
_NUMBER = re.compile(r"^(?:VERSION|PATCHLEVEL|SUBLEVEL) = (\d+)$", re.MULTILINE)
# include/linux/linkage.h, and its like in arch/*/include/asm; plain labels
_ASSEMBLY = re.compile(
    r"^\s*(?:(?:SYM_(?:FUNC|CODE|TYPED_FUNC|INNER_LABEL)|ENTRY|WEAK|NESTED|LEAF|_GLOBAL|__PI|idtentry|FEXPORT)\w*|\.globl)"
    r"[ (\t]+(?:\\?\w+ )?(?P<name>\w+)|^(?P<label>[A-Za-z_]\w\w+):",
    re.MULTILINE,
)
_EXPORT = re.compile(r"^\s*EXPORT_(?:SYMBOL|PER_CPU|NS)\w*\(\s*(\w+)", re.MULTILINE)
_SYSTEM_CALL = re.compile(r"(?:COMPAT_)?SYSCALL\w*_DEFINE\w*")  # include/linux/syscalls.h, include/linux/compat.h
_MACRO = re.compile(r"[A-Z][A-Z0-9_]{4,}")  # may begin the definition of a function
# Files that few kernels have. A function there that has the name of a common one does not change its role.
_OPTIONAL = re.compile(
    r"drivers/(?!base/)|fs/[^/]+/|net/(?!core/)[^/]+/|arch/[^/]+/(?!kernel|mm|lib|include)|.*(?:test|kunit)"
)
_SHORTEST, _FEWEST = 4, 2  # a beginning: characters, and functions that have it
_WIDTH = 120


@dataclass
class Functions:
    """The functions of kernel trees."""

    versions: list[str] = field(default_factory=list)
    files: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # name -> files that define it
    shared: set[str] = field(default_factory=set)  # names of functions that are not static
    exported: set[str] = field(default_factory=set)  # functions that modules may call


def read_tree(tree: Path, functions: Functions) -> None:
    """Add the functions of a kernel tree. Raises CalledProcessError if ctags fails."""
    functions.versions.append(".".join(_NUMBER.findall((tree / "Makefile").read_text())))
    folders = [folder for folder in _FOLDERS if (tree / folder).is_dir()]
    listing = subprocess.run(
        [*_CTAGS, *folders], cwd=tree, capture_output=True, text=True, errors="replace", check=True
    )
    for line in listing.stdout.splitlines():
        name, path, rest = line.split("\t", 2)
        if not _NOT_KERNEL.match(path) and (defined := _defined(name, rest)):
            _add(functions, [defined], path, shared="\tfile:" not in rest)
    for file in (file for folder in folders for file in (tree / folder).rglob("*.[cS]")):
        path = file.relative_to(tree).as_posix()
        if not _NOT_KERNEL.match(path) and not _DRIVER.match(path):
            _read_macros(file.read_text(errors="replace"), path, functions)


def roles(functions: Functions) -> dict[str, Role]:
    """The role of each function that has one."""
    found: dict[str, Role] = {}
    for name, files in functions.files.items():
        by_file = {path: role_by_file(path, name, functions.exported) for path in files}
        known = [role for role in by_file.values() if role is not Role.ANY]
        ambiguous = any(role is Role.ANY and not _OPTIONAL.match(path) for path, role in by_file.items())
        if known and (name in functions.shared or len(set(known)) > 1 or not ambiguous):
            found[name] = min(set(known), key=lambda role: (-known.count(role), role))
    return found


def table(functions: Functions) -> str:
    """The text of the table."""
    known = _by_stem(functions.files, roles(functions))
    beginnings = generated() | {
        prefix: role for prefix, role in _beginnings(known) if not prefix.startswith(tuple(generated()))
    }
    lines = [f"# Generated by scripts/function_table.py from Linux {', '.join(functions.versions)}"]
    lookup = parse(_sections({role: [f"{name}*" for name in beginnings if beginnings[name] is role] for role in Role}))
    listed: dict[Role, list[str]] = {role: [] for role in Role}
    for name, role in known.items():
        stem = name.lstrip("_")
        if role is not (known[stem] if stem != name and not lookup.listed(name) else lookup.role(name)):
            listed[role].append(name)
    for prefix, role in beginnings.items():
        listed[role].append(f"{prefix}*")
    return "\n".join(lines) + "\n" + _sections(listed)


def _by_stem(names: Iterable[str], known: Mapping[str, Role]) -> dict[str, Role]:
    """The role of each name. A name stands for its variants with more underscores if all of them have its role."""
    variants: dict[str, set[str]] = defaultdict(set)
    for name in names:
        variants[name.lstrip("_")].add(name)
    found: dict[str, Role] = {}
    for stem, group in variants.items():
        of_group = {known.get(name, Role.ANY) for name in group}
        if len(of_group) == 1:
            found[stem] = of_group.pop()
        else:
            found |= {stem: Role.ANY} | {name: known.get(name, Role.ANY) for name in group}
    return found


def _sections(listed: Mapping[Role, Collection[str]]) -> str:
    return "".join(f"[{role}]\n" + "\n".join(_wrapped(sorted(listed[role]))) + "\n" for role in Role if listed[role])


def _read_macros(text: str, path: str, functions: Functions) -> None:
    exported = set(_EXPORT.findall(text))
    functions.exported |= exported
    _add(functions, exported, path, shared=True)
    if path.endswith(".S"):
        _add(functions, [found["name"] or found["label"] for found in _ASSEMBLY.finditer(text)], path, shared=True)


def _add(functions: Functions, names: Iterable[str], path: str, *, shared: bool) -> None:
    for name in (name for name in map(known_as, names) if len(name.lstrip("_")) > 1):
        functions.files[name].add(path)
        if shared:
            functions.shared.add(name)


def _defined(tag: str, rest: str) -> str:
    """The function of a tag. ctags takes a macro that begins a definition for the name of the function."""
    if not _MACRO.fullmatch(tag):
        return tag
    found = re.search(rf"{tag}\(\s*(\w+)", rest)
    if not found:
        return ""
    return f"sys_{found[1]}" if _SYSTEM_CALL.fullmatch(tag) else found[1]


def _beginnings(known: Mapping[str, Role]) -> Iterator[tuple[str, Role]]:
    """The shortest beginnings, up to an underscore, whose functions all have one role, with any underscores before."""
    found: dict[str, set[Role]] = defaultdict(set)
    members: dict[str, int] = defaultdict(int)
    for name, role in known.items():
        for end in _ends(name) if name[0] != "_" else ():
            found[name[:end]].add(role)
            members[name[:end]] += 1
    taken: set[str] = set()
    for prefix in sorted(found, key=len):
        role = next(iter(found[prefix]))
        is_pure = len(found[prefix]) == 1 and role is not Role.ANY and members[prefix] >= _FEWEST
        if is_pure and not any(prefix[:end] in taken for end in _ends(prefix)):
            taken.add(prefix)
            yield prefix, role


def _ends(name: str) -> Iterator[int]:
    return (found.end() for found in re.finditer("(?<=[A-Za-z0-9])_", name) if found.end() >= _SHORTEST)


def _wrapped(words: Iterable[str]) -> Iterator[str]:
    line = ""
    for word in words:
        if line and len(line) + 1 + len(word) > _WIDTH:
            yield line
            line = word
        else:
            line = f"{line} {word}".lstrip()
    yield line


def main(trees: Collection[str]) -> None:
    functions = Functions()
    for tree in [Path(tree) for tree in trees] or [find_source(package, Store()).tree() for package in PACKAGES]:
        read_tree(tree, functions)
    OUTPUT.write_text(table(functions))


if __name__ == "__main__":
    main(sys.argv[1:])
