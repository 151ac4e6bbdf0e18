# SPDX-License-Identifier: Apache-2.0
"""What the kernel prints is accounted for: docs/reference/kernel-messages.md agrees with the detector."""

import os
import re
from pathlib import Path

import pytest

from harness.detect.kinds import KINDS
from scripts.kernel_messages import PAGE, judge, page, printed, read_page, read_rules, rows_of, texts_of

RULES = read_rules()
ROWS = read_page()
POINTER = re.compile(r"%p(?![A-Za-z])")
# VERSION=TREE ..., as the script takes them
TREES = os.environ.get("MODCOMPAT_KERNEL_TREES", "")


def test_the_page_has_the_kinds_that_the_detector_finds() -> None:
    wrong = [(row.file, row.form, row.kind) for row in ROWS if judge(row.form, "", RULES)[0] != row.kind]
    assert wrong == []


def test_every_text_has_a_kind_or_a_reason() -> None:
    assert len(ROWS) > 2500
    assert [row for row in ROWS if bool(row.kind) == bool(row.why)] == []
    assert {row.kind for row in ROWS} - {""} <= {kind.name for kind in KINDS}
    assert {"kernel/module/main.c", "kernel/module.c", "mm/slub.c", "kernel/locking/lockdep.c"} <= {
        it.file for it in ROWS
    }


def test_a_pointer_that_is_not_hashed_yet_changes_nothing() -> None:
    """lib/vsprintf.c prints (____ptrval____) for %p until there are random numbers to hash it with."""
    forms = [row.form for row in ROWS if row.kind and row.form not in RULES.instances and POINTER.search(row.form)]
    hidden = {form: POINTER.sub("(____ptrval____)", form) for form in forms}
    assert hidden
    assert [it for it, form in hidden.items() if judge(form, "", RULES)[0] != judge(it, "", RULES)[0]] == []


def test_the_texts_of_calls_are_found_in_source() -> None:
    source = """#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
    #define SAID "said"
    /* pr_err("in a comment\\n"); */
    static int __init at_boot(void)
    {
        pr_warn("boot\\n");
    }

    static void vendor(int n)
    {
        printk(KERN_ERR "%s, " SAID
               " %d\\n\\tnext\\n", __func__, n);
        panic(n ? "one" : "two");
        pr_err("to %s\\n", n ? "read" : "write");
        other("not printed");
    }
    """.replace("\n    ", "\n")
    found = [(text.form, text.function, text.at_boot) for text in texts_of("a/b.c", source, RULES.printers)]
    assert found == [
        ("b: boot", "at_boot", True),
        ("vendor, said %d", "vendor", False),
        ("\tnext", "vendor", False),
        ("Kernel panic - not syncing: one", "vendor", False),
        ("Kernel panic - not syncing: two", "vendor", False),
        ("b: to read", "vendor", False),
        ("b: to write", "vendor", False),
    ]
    assert printed("%s: %d at %pS%%") == "vendor: 1 at vendor_run+0x10/0x20 [vendor]%"


@pytest.mark.skipif(not TREES, reason="MODCOMPAT_KERNEL_TREES names no kernel trees")
def test_the_page_is_what_the_trees_give() -> None:
    trees = [(version, Path(tree)) for version, _, tree in (word.partition("=") for word in TREES.split())]
    assert page(rows_of(trees, RULES), [version for version, _ in trees]) == PAGE.read_text()
