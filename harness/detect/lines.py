# SPDX-License-Identifier: Apache-2.0
"""Console lines: kernel messages without the prefixes of printk, of the line and of other programs."""

import re
from collections.abc import Iterator
from typing import NamedTuple

LONGEST_LINE = 8192  # bytes of a line that are read; printk's own limit is 1024 (LOG_LINE_MAX)

# Any line, in text with one character per byte. A common line, which has a stamp and no special characters, sets the
# two groups for its caller and its text
_PLAIN = r"[^\n\r\0\x1b\x80-\xff\[]*"
LINE = re.compile(
    r"\[ *\d+\.\d+\](?:\[ *([TC]\d+)\])? ?"
    rf"({_PLAIN}(?:\[(?![ \d]+\.){_PLAIN})*)[\r\0]*(?:\n|\Z)"
    r"|[^\n]*\n|[^\n]+"
)
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
# kernel/printk/printk.c, print_prefix(): <level>[    1.234567][  T123] message
_STAMP = re.compile(r"\[ *\d+\.\d+\](?:\[ *(?P<caller>[TC]\d+)\])? ?")
# Every other form of a kernel message, with each part optional. Most other lines are rejected at the first character
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
# The place where the kernel broke into a line that another program or another CPU was writing
_BREAK = re.compile(r"\[ *\d{1,6}\.\d{6}\](?:\[ *[TC]\d+\])? ")
_LOGIN = " login: "
STAMPED_LINE = re.compile(rb"^(?:<\d+>)?\[ *\d+\.\d+\]", re.MULTILINE)


class Message(NamedTuple):
    """One message of the kernel, or of another program."""

    number: int  # of its line in the log, from 1
    start: int  # of its line in the log, bytes
    caller: str  # T<pid> or C<cpu> (CONFIG_PRINTK_CALLER), "" without it
    stamped: bool  # it has the kernel's own stamp, not that of a program that relays logs
    broken: bool  # it follows something else in its line
    text: str


def messages(number: int, start: int, raw: bytes) -> list[Message]:
    """The messages in a line, usually one. Undecodable bytes become \\xNN; control sequences are removed."""
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
    """The messages in a line, which the kernel may have broken into."""
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
