# SPDX-License-Identifier: Apache-2.0
"""Every entry of the detector's tables is reached by its own example."""

import re

import pytest

from harness.detect.body_lines import BODY_LINE, BODY_LINES
from harness.detect.kinds import KINDS, TRIGGER, WORDS, Kind


def test_every_body_line_matches_its_example() -> None:
    entries = [entry for patterns in BODY_LINES.values() for entry in patterns.items()]
    assert [(pattern, example) for pattern, example in entries if not re.match(pattern, example)] == []
    assert len({pattern for pattern, _ in entries}) == len(entries), "a pattern is listed twice"
    assert all(BODY_LINE.match(example) for _, example in entries)
    assert not BODY_LINE.match("usb 1-1: new high-speed USB device number 2 using xhci_hcd")


@pytest.mark.parametrize("kind", KINDS, ids=range(len(KINDS)))  # a kind's name would match -k slub
def test_the_triggers_of_a_kind_find_its_examples_and_no_trigger_is_idle(kind: Kind) -> None:
    examples = [example for wording in kind.wordings for example in wording.examples]
    assert [it for it in examples if not any(trigger in it for trigger in kind.triggers)] == []
    assert [trigger for trigger in kind.triggers if not any(trigger in it for it in examples)] == []
    assert all(TRIGGER.search(word.encode()) or word.encode() in WORDS for word in kind.triggers)
