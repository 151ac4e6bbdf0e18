# SPDX-License-Identifier: Apache-2.0
"""The role of a function of the kernel: whether it tells what went wrong, or only serves its caller.

A role follows from the file that defines the function, and from its name, by the rules in role_rules.toml.
scripts/function_table.py applies them to whole kernel trees and writes function_roles.txt, from which a role follows by
name alone. A name that is in no tree has no role: it may be of a driver, so a reader wants to see it.
"""

import re
import tomllib
from collections.abc import Container, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from importlib import resources
from typing import Any

TABLE = "function_roles.txt"
_RULES = "role_rules.toml"
# What compilers add to a name: suffixes, and prefixes
_SUFFIX = re.compile(r"(?:\.(?:isra|constprop|part|cold|llvm|lto_priv|localalias)(?:\.\d+)*|\.\d+)+$")
_PREFIX = re.compile(r"^(?:__(?:pfx|cfi|pi)_)+")
# arch/*/include/asm/syscall_wrapper.h, include/linux/syscalls.h; SyS_ and SYSC_ until 4.16
_SYSCALL = re.compile(
    r"(?:__(?:x64|ia32|arm64|riscv|s390x?|se|do)_(?:compat_)?sys|(?:compat_)?(?:SYSC|SyS|sys)|ksys)_(?=[a-z])"
)


class Role(StrEnum):
    """What a function does for the kernel."""

    ANY = "any"  # nothing that the reader of a report could skip
    CHECKS = "checks"  # a sanitizer or another check, called by the compiler's code or by the caller
    REPORTS = "reports"  # prints a report, or takes a stack trace
    FAULT = "fault"  # the way from a faulting instruction to its handler
    LOCK = "lock"  # takes, releases or checks a lock that its caller names
    RCU = "rcu"  # waits for grace periods, marks readers
    ALLOCATOR = "allocator"  # allocates or frees memory
    COPY = "copy"  # copies, compares or formats bytes
    LIBRARY = "library"  # an algorithm or a data structure of its caller
    CIPHER = "cipher"  # computes something from its caller's bytes
    WAIT = "wait"  # sleeps, or wakes a sleeper
    TIMER = "timer"  # starts and stops a timer of its caller
    WORK = "work"  # queues and cancels work of its caller
    OBJECT = "object"  # registers, names and counts an object of its caller
    BUFFER = "buffer"  # frees or resizes a network buffer of its caller
    BUS = "bus"  # carries a message of a driver to a device
    TRACING = "tracing"  # calls a tracer
    CALLS = "calls"  # calls a handler through a pointer
    CROSS_CALL = "cross-call"  # runs a function on other processors
    INTERRUPT = "interrupt"  # the way from an interrupt to its handler
    ENTRY = "entry"  # the outermost function of a task or a processor


@dataclass(frozen=True)
class Rule:
    """The role of the functions in some files."""

    role: Role
    files: re.Pattern[str]  # matches the whole path in a kernel tree
    names: re.Pattern[str]  # matches the whole name of a function
    exported: bool  # only functions that modules may call, and their variants with more underscores


@dataclass(frozen=True)
class RoleTable:
    """What is known about functions by their names."""

    exact: Mapping[str, Role]
    prefixes: Mapping[str, Role]  # the beginning of a name -> role
    lengths: tuple[int, ...]  # of the prefixes, descending

    def role(self, name: str) -> Role:
        """The role of a function by the name that known_as() returns."""
        return self.listed(name) or self.listed(name.lstrip("_")) or Role.ANY

    def listed(self, name: str) -> Role | None:
        """The role of a name that the table lists, or of its beginning; None if it lists neither."""
        if found := self.exact.get(name):
            return found
        return next((role for length in self.lengths if (role := self.prefixes.get(name[:length]))), None)


def bare(function: str) -> str:
    """A function's name without what the compiler adds to it."""
    return _PREFIX.sub("", _SUFFIX.sub("", function)) or function


def known_as(function: str) -> str:
    """The name of a function in the table.

    Wrappers of system calls are one function, and so are an allocator and what alloc_hooks() of
    include/linux/alloc_tag.h calls.
    """
    return _SYSCALL.sub("sys_", bare(function).removesuffix("_noprof"))


@lru_cache(maxsize=8192)
def role(function: str, path: str = "") -> Role:
    """The role of a function. path: its source file, if the log names it."""
    name = known_as(function)
    known = _table().role(name)
    if not path:
        return known
    return role_by_file(path, name, (name,) if known is not Role.ANY else ())


def role_by_file(path: str, name: str, exported: Container[str]) -> Role:
    """The role of a function that a file of a kernel tree defines.

    exported: functions that modules may call.
    """
    for rule in _rules_for(path):
        may_be_exported = not rule.exported or name in exported or name.lstrip("_") in exported
        if may_be_exported and rule.names.fullmatch(name):
            return rule.role
    return Role.ANY


def generated() -> dict[str, Role]:
    """The beginnings of the names of functions that no search for definitions finds."""
    return {name.rstrip("*"): Role(entry["role"]) for entry in _data()["generated"] for name in entry["names"].split()}


def parse(text: str) -> RoleTable:
    """Read a table. Comments begin with #, roles stand in brackets, and name* is any name with this beginning."""
    exact: dict[str, Role] = {}
    prefixes: dict[str, Role] = {}
    now = Role.ANY
    for line in text.splitlines():
        if line[:1] == "[":
            now = Role(line.strip("[]"))
        elif line[:1] != "#":
            for name in line.split():
                if name[-1] == "*":
                    prefixes[name[:-1]] = now
                else:
                    exact[name] = now
    return RoleTable(exact, prefixes, tuple(sorted({len(prefix) for prefix in prefixes}, reverse=True)))


@cache
def _table() -> RoleTable:
    return parse(resources.files("harness.detect").joinpath(TABLE).read_text())


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(resources.files("harness.detect").joinpath(_RULES).read_text())


@cache
def _rules() -> list[Rule]:
    return [
        Rule(
            Role(entry["role"]),
            re.compile(_expression(entry["files"], "[^/]*")),
            re.compile("_*(?:" + _expression(entry.get("names", "*"), r"\w*") + ")"),
            entry.get("exported", False),
        )
        for entry in _data()["rule"]
    ]


@lru_cache(maxsize=1024)
def _rules_for(path: str) -> list[Rule]:
    return [rule for rule in _rules() if rule.files.fullmatch(path)]


def _expression(patterns: str, star: str) -> str:
    """A regular expression for patterns that are separated by white space. star: what * stands for."""
    words = {"**": ".*", "*": star, "{": "(?:", "}": ")", ",": "|", " ": "|"}
    return re.sub(
        r"\*\*|[*{}, .+-]", lambda found: words.get(found[0], re.escape(found[0])), " ".join(patterns.split())
    )
