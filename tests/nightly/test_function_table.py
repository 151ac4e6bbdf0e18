# SPDX-License-Identifier: Apache-2.0
"""The table of functions follows from kernel trees and from the rules: generating it again makes the same table."""

import shutil

import pytest

from harness.detect.roles import Role, generated, parse
from harness.kernel.source import find_source
from harness.support.cache.store import Store
from scripts.function_table import OUTPUT, PACKAGES, Functions, read_tree, roles, table

pytestmark = pytest.mark.skipif(not shutil.which("ctags"), reason="Debian's universal-ctags is not installed")

MOST_THAT_CHANGED = 0.01  # of the functions, between two versions that Debian has of the same kernels


@pytest.fixture(scope="module")
def functions() -> Functions:
    found = Functions()
    for package in PACKAGES:
        read_tree(find_source(package, Store()).tree(), found)
    return found


def test_the_committed_table_follows_from_the_rules(functions: Functions) -> None:
    written = OUTPUT.read_text()
    if written.splitlines()[0].endswith(", ".join(functions.versions)):
        assert table(functions) == written
    committed, found = parse(written), roles(functions)
    differs = [name for name in functions.files if committed.role(name) is not found.get(name, Role.ANY)]
    assert len(differs) < MOST_THAT_CHANGED * len(found)


def test_a_table_says_of_each_function_what_the_rules_say(functions: Functions) -> None:
    """Beginnings and fewer underscores stand for many names, and for no wrong one."""
    written, found = parse(table(functions)), roles(functions)
    defined = [name for name in functions.files if not name.startswith(tuple(generated()))]
    assert [name for name in defined if written.role(name) is not found.get(name, Role.ANY)] == []
