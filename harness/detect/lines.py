# SPDX-License-Identifier: Apache-2.0
"""Console lines: kernel messages apart from what printk, the line and other programs put around them."""

import re
from collections.abc import Iterator
from typing import NamedTuple

LONGEST_LINE = 8192  # bytes of a line that are looked at; printk's own limit is 1024 (LOG_LINE_MAX)

# Any line, of text that has a character for each byte. One as most are, stamped and with nothing in it that needs more
# care, comes in two groups: caller and text
_PLAIN = r"[^\n\r\0\x1b\x80-\xff\[]*"
LINE = re.compile(
    r"\[ *\d+\.\d+\](?:\[ *([TC]\d+)\])? ?"
    rf"({_PLAIN}(?:\[(?![ \d]+\.){_PLAIN})*)[\r\0]*(?:\n|\Z)"
    r"|[^\n]*\n|[^\n]+"
)
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
# kernel/printk/printk.c, print_prefix(): <level>[    1.234567][  T123] message
_STAMP = re.compile(r"\[ *\d+\.\d+\](?:\[ *(?P<caller>[TC]\d+)\])? ?")
# Every other form that a kernel message comes in, each part optional; most lines of others end at the first character
_PREFIX = re.compile(
    r"(?:(?=[*<k\d.\[]|[A-Z][a-z]{2} [ \d])"
    r"(?:\*\* \d+ printk messages dropped \*\* ?)?"
    r"(?:<\d+>)?"
    r"(?:kern +:\w+ *: ?)?"  # dmesg -x
    r"(?:\d+,\d+,\d+,[^;,]*(?:,caller=(?P<record>[TC]\d+))?[^;]*;"  # /dev/kmsg, netconsole
    r"|(?P<relay>(?:[A-Z][a-z]{2} [ \d]\d [\d:]{8}|\d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d)?)"
    r" \S+ kernel: ?"  # syslog
    r"|\d{4}[-/]\d\d[-/]\d\d[T ][\d:]{8}(?:[,.]\d+)?(?:Z|[+-]\d\d:?\d\d)? )"  # dmesg --time-format iso
    r"|\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} \d{4}\] ?"  # dmesg -T
    r")?"
    r"(?:\[ *\d+\.\d+\] ?|\d*\.\d{6}\] ?)?"  # perhaps torn
    r"(?:\[ *(?P<caller>[TC]\d+)\] ?)?)?"
)
# Where the kernel broke into a line that another program, or another CPU, was writing
_BREAK = re.compile(r"\[ *\d{1,6}\.\d{6}\](?:\[ *[TC]\d+\])? ")
_LOGIN = " login: "
STAMPED_LINE = re.compile(rb"^(?:<\d+>)?\[ *\d+\.\d+\]", re.MULTILINE)


class Message(NamedTuple):
    """One message. number, start: line and byte in the log. caller: T<pid> or C<cpu>, "" where not told.

    stamped: it bears the kernel's own mark, not that of a program that passes logs on. broken: it stands behind
    something else in its line.
    """

    number: int
    start: int
    caller: str
    stamped: bool
    broken: bool
    text: str


def messages(number: int, start: int, raw: bytes) -> list[Message]:
    """The messages in a line: one as a rule. Undecodable bytes as \\xNN; control sequences are taken off."""
    text = raw[:LONGEST_LINE].decode(errors="backslashreplace").strip("\r\0")
    stamp = _STAMP.match(text)
    if stamp and "\x1b" not in text and "\r" not in text:
        end = stamp.end()
        if not _BREAK.search(text, end):
            return [Message(number, start, stamp[1] or "", True, False, text[end:])]  # noqa: FBT003 - keywords are slow
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    return [message for piece in text.split("\r") for message in _pieces(number, start, piece)]


def _pieces(number: int, start: int, line: str) -> Iterator[Message]:
    """The messages in a line that the kernel may have broken into."""
    rest, broken = line, False
    while True:
        if prefix := _STAMP.match(rest):
            caller, stamped = prefix["caller"] or "", True
        else:
            prefix = _PREFIX.match(rest)
            assert prefix is not None  # every part is optional
            caller = prefix["caller"] or prefix["record"] or ""
            stamped = prefix.end() > 0 and not prefix["relay"]
        end = prefix.end()
        stop = inner.start() if (inner := _BREAK.search(rest, end)) else len(rest)
        login = rest.find(_LOGIN, end, stop)
        if login >= 0 and login + len(_LOGIN) < len(rest):
            stop = login + len(_LOGIN)
        yield Message(number, start, caller, stamped, broken, rest[end:stop])
        if stop == len(rest):
            return
        rest, broken = rest[stop:], True
