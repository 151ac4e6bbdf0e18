# SPDX-License-Identifier: Apache-2.0
"""Which functions the headers define and which do not compile alone, according to the compiler's output."""

from harness.abi.headers.inline_functions import _culprits, _defined, _uses

LISTED = """\
/* include/linux/a.h:10:NF */ static void do_raw_lock (raw_lock_t *lock); /* (lock) raw_lock_t *lock; */
/* include/linux/a.h:20:NF */ static pmdval_t (*pgd_offset (pgd_t *p, long unsigned int a))[2]; /* (p, a) */
/* include/linux/a.h:30:NF */ static void (*chosen (int which)) (int); /* (which) int which; */
/* include/linux/a.h:40:NC */ extern int declared (int);
/* include/linux/b.h:5:NF */ static const char *called (int (*back)(int), void *data);
/* include/linux/b.h:7:NF */ static _Bool PageDirty (struct page *page);
/* include/linux/b.h:7:NF */ static void SetPageDirty (struct page *page);
"""


def test_the_compiler_lists_what_headers_define() -> None:
    assert _defined(LISTED) == {
        ("include/linux/a.h", 10): ["do_raw_lock"],
        ("include/linux/a.h", 20): ["pgd_offset"],
        ("include/linux/a.h", 30): ["chosen"],
        ("include/linux/b.h", 5): ["called"],
        ("include/linux/b.h", 7): ["PageDirty", "SetPageDirty"],
    }


def test_each_function_is_used_whatever_macros_are_called() -> None:
    assert _uses(["one"]) == "#undef one\nvoid *const functions[] = {\n\t(void *)one,\n};\n"


def test_who_is_at_fault_is_found_by_name_and_by_line() -> None:
    log = """\
In function 'constant_test':
    inlined from 'caller' at a.h:3:9:
a.h:4:1: error: impossible constraint in 'asm'
c.h: In function 'only_warned_about':
c.h:8:1: warning: unused variable 'x'
include/linux/a.h:25: Error: bad memory operand `%edi'
"""
    defined = {("include/linux/a.h", 10): ["first"], ("include/linux/a.h", 20): ["a", "b"], ("b.h", 24): ["other"]}
    assert list(_culprits(log, defined)) == ["caller", "a", "b"]
