# SPDX-License-Identifier: Apache-2.0
"""Console lines: kernel messages without the prefixes of printk, of the line and of other programs."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from harness.detect.learned_prefix import LearnedPrefix

LONGEST_LINE = 8192  # bytes of a line that are read; printk's own limit is 1024 (LOG_LINE_MAX)

# Any line, in text with one character per byte. A common line, which has a stamp and no special characters, sets the
# two groups for its caller and its text
_PLAIN = r"[^\n\r\0\x1b\x80-\xff\[]*"
LINE = re.compile(
    r"\[ *\d+\.\d+\](?: ?\[ *([TC]\d+)\])? ?"
    rf"({_PLAIN}(?:\[(?![ \d]+\.){_PLAIN})*)[\r\0]*(?:\n|\Z)"
    r"|[^\n]*\n|[^\n]+"
)
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
# kernel/printk/printk.c, print_prefix(): <level>[    1.234567][  T123] message. dmesg of util-linux 2.40 and later puts
# a space in front of the caller
_STAMP = re.compile(r"\[ *\d+\.\d+\](?: ?\[ *(?P<caller>[TC]\d+)\])? ?")
# The record of a message in /dev/kmsg and of netconsole (Documentation/networking/netconsole.rst). A long message of
# netconsole is sent in fragments
_RECORD = r"\d+,\d+,\d+,[^;,]*(?:,caller=(?P<record>[TC]\d+))?(?:,ncfrag=(?P<fragment>\d+)/\d+)?[^;]*;"
# What the kernel itself puts in front of a message
KERNEL_PREFIX = re.compile(r"(?:<\d+>)?\[ *\d+\.\d+\](?: ?\[ *[TC]\d+\])? ?|" + re.sub(r"\?P<\w+>", "?:", _RECORD))
# Every other form of a kernel message, with each part optional. Most other lines are rejected at the first character
_PREFIX = re.compile(
    r"(?:(?=[*<k\d.\[]|[A-Z][a-z]{2} [ \d]| kernel:)"
    r"(?:\*\* \d+ printk messages dropped \*\* ?)?"
    r"(?:<\d+>)?"
    r"(?:kern +:\w+ *: ?)?"  # dmesg -x
    rf"(?:{_RECORD}"
    r"|(?P<relay>(?:(?:[A-Z][a-z]{2} [ \d]\d [\d:]{8}|\d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d)?)"
    r" (?P<host>\S+) |(?P<wall> ?(?=k)))kernel: ?"  # syslog; the terminals of all users
    r"|\d{4}[-/]\d\d[-/]\d\d[T ][\d:]{8}(?:[,.]\d+)?(?:Z|[+-]\d\d:?\d\d)? )"  # dmesg --time-format iso
    r"|\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} \d{4}\] ?"  # dmesg -T
    r")?"
    r"(?:\[ *\d+\.\d+\] ?|\d*\.\d{6}\] ?)?"  # perhaps torn
    r"(?:\[ *(?P<caller>[TC]\d+)\] ?)?)?"
)
# The place where the kernel broke into a line that another program or another CPU was writing
_BREAK = re.compile(r"\[ *\d{1,6}\.\d{6}\](?: ?\[ *[TC]\d+\])? ")
_LOGIN = " login: "
_WALL = "wall"  # the source of a message without a host
STAMPED_LINE = re.compile(rb"^(?:<\d+>)?\[ *\d+\.\d+\]", re.MULTILINE)


class Message(NamedTuple):
    """One message of the kernel, or of another program."""

    # of its line in the log, from 1
    number: int
    # of its line in the log, bytes
    start: int
    # T<pid> or C<cpu> (CONFIG_PRINTK_CALLER), "" without it
    caller: str
    # it has the kernel's own stamp, not that of a program that relays logs
    stamped: bool
    # it follows something else in its line
    broken: bool
    text: str
    # the machine or program that relayed it, "" for the kernel that the log belongs to
    source: str = ""
    # syslog or the journal relayed it
    relayed: bool = False
    # it is the rest of the message before it
    continues: bool = False

    @property
    def speaker(self) -> str:
        """Whose message it is: messages of one report have the same speaker."""
        return f"{self.source}\0{self.caller}" if self.source else self.caller


def plain_text(raw: bytes) -> str:
    """The text of a line. Undecodable bytes become \\xNN; control sequences are removed."""
    text = raw[:LONGEST_LINE].decode(errors="backslashreplace").strip("\r\0")
    return _ANSI.sub("", text) if "\x1b" in text else text


def messages(number: int, start: int, raw: bytes) -> list[Message]:
    """The messages in a line, usually one."""
    text = raw[:LONGEST_LINE].decode(errors="backslashreplace").strip("\r\0")
    stamp = _STAMP.match(text)
    if stamp and "\x1b" not in text and "\r" not in text:
        end = stamp.end()
        if not _BREAK.search(text, end):
            return [Message(number, start, stamp[1] or "", True, False, text[end:])]  # noqa: FBT003 - keywords are slow
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    return [message for piece in text.split("\r") for message in _pieces(number, start, piece)]


def messages_behind(prefix: LearnedPrefix, number: int, start: int, text: str) -> list[Message] | None:
    """The messages in a line behind a learned prefix; None if the line does not have it."""
    stripped = prefix.strip(text)
    if stripped is None:
        return None
    return [
        message._replace(source=prefix.source, caller=message.caller or stripped.caller, relayed=False)
        for piece in stripped.text.split("\r")
        for message in _pieces(number, start, piece)
    ]


def _pieces(number: int, start: int, line: str) -> Iterator[Message]:
    """The messages in a line, which the kernel may have broken into."""
    rest, broken = line, False
    while True:
        source, relayed, continues = "", False, False
        if prefix := _STAMP.match(rest):
            caller, stamped = prefix["caller"] or "", True
        else:
            prefix = _PREFIX.match(rest)
            assert prefix is not None  # every part is optional
            caller = prefix["caller"] or prefix["record"] or ""
            relayed = prefix["relay"] is not None
            stamped = prefix.end() > 0 and not relayed
            source = prefix["host"] or (_WALL if prefix["wall"] else "")
            continues = (prefix["fragment"] or "0") != "0"
        end = prefix.end()
        stop = inner.start() if (inner := _BREAK.search(rest, end)) else len(rest)
        login = rest.find(_LOGIN, end, stop)
        if login >= 0 and login + len(_LOGIN) < len(rest):
            stop = login + len(_LOGIN)
        yield Message(number, start, caller, stamped, broken, rest[end:stop], source, relayed, continues)
        if stop == len(rest):
            return
        rest, broken = rest[stop:], True
