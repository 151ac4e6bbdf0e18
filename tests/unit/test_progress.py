"""Progress: a bar where the terminal can show one, and lines where it cannot."""

import io

import pytest
from rich.console import Console

from harness import progress
from harness.progress import task


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
