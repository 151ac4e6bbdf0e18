# SPDX-License-Identifier: Apache-2.0
"""Progress: a bar where the terminal can show one, and lines where it cannot."""

import io

import pytest
from rich.console import Console

from harness.support import progress
from harness.support.progress import task, task_if_long


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("file", "term", "width", "has_bar"),
    [
        (Terminal(), "xterm", 80, True),
        (Terminal(), "xterm", 60, True),
        (Terminal(), "xterm", 40, False),
        (Terminal(), "dumb", 80, False),
        (io.StringIO(), "xterm", 80, False),
    ],
    ids=["terminal", "small", "narrow", "dumb", "file"],
)
def test_there_is_something_to_see_while_it_runs(
    monkeypatch: pytest.MonkeyPatch, *, file: io.StringIO, term: str, width: int, has_bar: bool
) -> None:
    out = Console(file=file, width=width, soft_wrap=True, highlight=False, _environ={"TERM": term})
    monkeypatch.setattr(progress, "console", lambda: out)
    with task("building the kernel", 3) as running:
        running.step()
        assert bool(running.bar) == has_bar
        if not has_bar:
            assert file.getvalue() == "building the kernel ...\n"
    assert "building the kernel: done in" in file.getvalue()


def test_what_is_over_at_once_is_not_shown_and_the_rest_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr("harness.support.progress.time.monotonic", lambda: now)
    with task_if_long("looking at rootfs", 3) as looking:
        looking.step()
        now = 1.9
        looking.step()
    assert capsys.readouterr().err == ""
    with task_if_long("looking at rootfs", 3) as looking:
        looking.step()
        now += 2.0
        looking.step()
        assert capsys.readouterr().err == "looking at rootfs ...\n"
        looking.step()
    assert capsys.readouterr().err == "looking at rootfs: done in 2 s\n"
