# SPDX-License-Identifier: Apache-2.0
"""Every entry of the detector's tables is reached by its own example."""

import re
from collections.abc import Mapping

import pytest

from harness.detect.body_lines import BODY_LINE, BODY_LINES
from harness.detect.kernel_words import KERNEL_LINE, OTHER_LINE, OTHER_WORDS, REPORT_LINE, REPORT_WORDS
from harness.detect.kinds import KINDS, TRIGGER, WORDS, Kind
from harness.detect.scan import identify
from tests.unit.detect.alternatives import alternatives


def test_every_body_line_matches_its_example() -> None:
    entries = [entry for patterns in BODY_LINES.values() for entry in patterns.items()]
    assert [(pattern, example) for pattern, example in entries if not re.match(pattern, example)] == []
    assert len({pattern for pattern, _ in entries}) == len(entries), "a pattern is listed twice"
    assert all(BODY_LINE.match(example) for _, example in entries)
    assert not BODY_LINE.match("usb 1-1: new high-speed USB device number 2 using xhci_hcd")


@pytest.mark.parametrize(("table", "line"), [(REPORT_WORDS, REPORT_LINE), (OTHER_WORDS, OTHER_LINE)], ids=range(2))
def test_every_pattern_for_the_kernels_words_matches_its_example(
    table: Mapping[str, Mapping[str, str]], line: re.Pattern[str]
) -> None:
    entries = [entry for patterns in table.values() for entry in patterns.items()]
    assert [(pattern, example) for pattern, example in entries if not re.match(pattern, example)] == []
    assert len({pattern for pattern, _ in entries}) == len(entries), "a pattern is listed twice"
    for _, example in entries:
        assert line.match(example)
        assert KERNEL_LINE.search(f"app:\nboard-1 | {example}\n".encode())


@pytest.mark.parametrize(
    "text",
    [
        "2025-09-01 08:00:00,123 INFO worker: job 5 took 1.234567 s",
        '10.0.0.7 - - [01/Sep/2025:08:00:00 +0000] "GET / HTTP/1.1" 200 512',
        "[    12.345] (II) Loading extension GLX",
        "  CC      drivers/usb/core/usb.o",
        "It was the best of times, it was the worst of times.",
        "PASSED tests/test_kernel.py::test_boot [ 12%]",
        "\x7fELF\x02\x01\x01",
    ],
)
def test_other_text_does_not_look_like_the_kernels(text: str) -> None:
    assert not KERNEL_LINE.search(text.encode())


@pytest.mark.parametrize("kind", KINDS, ids=range(len(KINDS)))  # a kind's name would match -k slub
def test_the_triggers_of_a_kind_find_its_examples_and_no_trigger_is_idle(kind: Kind) -> None:
    examples = [example for wording in kind.wordings for example in wording.examples]
    assert [it for it in examples if not any(trigger in it for trigger in kind.triggers)] == []
    assert [trigger for trigger in kind.triggers if not any(trigger in it for it in examples)] == []
    assert all(TRIGGER.search(word.encode()) or word.encode() in WORDS for word in kind.triggers)


@pytest.mark.parametrize("kind", KINDS, ids=range(len(KINDS)))
def test_the_triggers_of_a_kind_find_every_alternative_of_its_patterns(kind: Kind) -> None:
    """A line without a trigger is never compared with the patterns."""
    texts = [text for wording in kind.wordings for text in alternatives(wording.pattern.pattern)]
    assert len(texts) >= len(kind.wordings)
    assert [text for text in texts if not any(trigger in text for trigger in kind.triggers)] == []
    assert {head.kind.name for text in texts if (head := identify(text))} == {kind.name}


def test_alternatives_take_every_branch() -> None:
    assert alternatives(r"a(?:b|c[de]|\d+)(?: f)?$") == ["a1", "a1 f", "ab", "ab f", "acd", "acd f"]
    assert alternatives(r"(?!xx)x[^x]|y{2,}") == ["xX", "yy"]
