# SPDX-License-Identifier: Apache-2.0
"""The command channel, tested against the guest's agent, which is compiled for the host."""

import os
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.guest.shell import AgentRestartedError, ChannelClosedError, NoReplyError, Output, Shell
from harness.support.paths import IMAGES


class Agent:
    """The agent in a separate process, and our end of its line."""

    def __init__(self, program: Path) -> None:
        self.line, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            [str(program)], stdin=theirs.fileno(), stdout=theirs.fileno(),
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        theirs.close()
        self.shell = Shell(self.line, lambda: None, shared=False)
        self.shell.wait_ready(5)

    def run(self, command: str, seconds: float = 5) -> Output:
        return self.shell.run(command, seconds)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.line.close()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("agent") / "agent"
    sources = sorted((IMAGES / "guest/agent").glob("*.c"))
    subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", "-o", program, *sources], check=True)
    return program


@pytest.fixture
def agent(program: Path) -> Iterator[Agent]:
    agent = Agent(program)
    yield agent
    agent.close()


def test_output_and_exit_status_come_back(agent: Agent) -> None:
    output = agent.run("echo one; echo two >&2; exit 7")
    assert (output.text, output.status) == ("one\ntwo", 7)


@pytest.mark.parametrize("trick", ["# ", "$ ", "/ # exit 0", "ready", "abcdef 0", "login: "])
def test_output_that_looks_like_a_prompt_is_output(agent: Agent, trick: str) -> None:
    output = agent.run(f"echo '{trick}'; false")
    assert (output.status, output.raw) == (1, f"{trick}\n".encode())


def test_a_forged_closing_mark_does_not_end_a_reply(agent: Agent) -> None:
    output = agent.run(r"printf '\0360123456789abcdef 0\036'; echo behind; false")
    assert output.status == 1
    assert output.raw.endswith(b"behind\n")


def test_output_that_looks_like_the_mark_of_another_reply_is_output(agent: Agent) -> None:
    output = agent.run(r"printf 'one\n\036abc 3\036two\n'")
    assert output.raw == b"one\n\x1eabc 3\x1etwo\n"


@pytest.mark.parametrize(
    "command", ["echo one\necho two", "echo \0", f"echo {'x' * 65_536}"], ids=["lines", "null", "long"]
)
def test_a_command_that_the_agent_would_cut_is_not_sent(agent: Agent, command: str) -> None:
    with pytest.raises(ValueError, match="one line of at most"):
        agent.run(command)
    assert agent.run(f"echo {'x' * 50_000}").text == "x" * 50_000


def test_an_answer_to_an_earlier_question_is_not_output(agent: Agent) -> None:
    """On a slow line, "again" was sent twice, and both answers arrive before the next reply."""
    for command in ("echo one", "echo two"):
        agent.line.send(b"again\nagain\n")
        assert agent.run(command).text == command.split()[1]


def test_any_byte_comes_through(agent: Agent) -> None:
    everything = "".join(f"\\{value:03o}" for value in range(1, 256) if value != 0o36)
    output = agent.run(f"printf '{everything}'")
    assert output.raw == bytes(value for value in range(1, 256) if value != 0o36)
    assert isinstance(output.text, str)


def test_long_lines_are_not_wrapped(agent: Agent) -> None:
    assert agent.run("printf '%05000d' 7").text == "0" * 4999 + "7"


def test_ten_megabytes_come_through(agent: Agent) -> None:
    output = agent.run("head -c 10000000 /dev/zero | tr '\\0' x", 60)
    assert len(output.raw) == 10_000_000
    assert agent.run("echo after").text == "after"


def test_a_command_cannot_change_or_end_the_agent(agent: Agent) -> None:
    agent.run("cd /; exit 3")
    agent.run("last='none 0'; token=; line=")
    assert agent.run("echo well").text == "well"


@pytest.mark.parametrize(
    ("command", "printed", "status"),
    [
        ("agent state", r"2?\d+ \d+ (\d+|-) (\d+|-)", 0),
        ("agent alive", r"well\nwell\n\d+", 0),
        ("agent nonsense", "agent: there is no command nonsense", 127),
        ("insmod absent.ko a=1", "insmod: can't open 'absent.ko': No such file or directory", 2),
        ("insmod -f absent.ko", "insmod: can't open 'absent.ko': No such file or directory", 2),
        ("rmmod no-such", r"rmmod: can't unload module 'no_such': .+", 1),
        ("cat 'no such' /proc/self/comm", "cat: can't open 'no such': No such file or directory\nagent", 1),
        ("cat /proc/self/comm | tr a-z A-Z", "CAT", 0),  # the shell's
        ("cat -e /proc/self/comm", r"cat\$", 0),  # so are options
        ("echo 'cat'  \"x y\"", "cat x y", 0),
        ("kill -SEGV $$", "Segmentation fault", 139),
    ],
)  # fmt: skip
def test_its_own_commands_read_like_the_shells(agent: Agent, command: str, printed: str, status: int) -> None:
    output = agent.run(command)
    assert re.fullmatch(printed, output.text)
    assert output.status == status


def test_a_command_has_the_three_usual_files_alone(agent: Agent) -> None:
    assert agent.run("ls /proc/self/fd | tr '\\n' ' '").text == "0 1 2 3 "  # the last one is the folder


def test_files_are_printed_as_they_are(agent: Agent, tmp_path: Path) -> None:
    file = tmp_path / "it's here"
    file.write_bytes(bytes(range(32, 256)) * 1000)
    assert agent.run(f"cat {shlex.quote(str(file))}").raw == file.read_bytes()
    (tmp_path / "plain").write_bytes(file.read_bytes())
    assert agent.run(f"cat {tmp_path}/plain '{tmp_path}/plain'").raw == 2 * file.read_bytes()


def test_a_command_without_an_answer_is_told(agent: Agent) -> None:
    with pytest.raises(NoReplyError):
        agent.run("sleep 30", 0.3)


def test_a_closed_line_is_told(agent: Agent) -> None:
    os.kill(agent.process.pid, 9)
    with pytest.raises(ChannelClosedError):
        agent.run("echo gone")


def test_an_agent_that_was_started_anew_is_told(agent: Agent) -> None:
    with pytest.raises(AgentRestartedError):
        agent.run(r"printf '\036ready\036'; sleep 5")


def test_a_ping_is_answered_with_the_mark_before(agent: Agent) -> None:
    agent.shell.ping(5)
    agent.run("true")
    agent.shell.ping(5)
    assert agent.run("echo well").text == "well"


def test_what_is_left_of_a_torn_request_is_no_answer(agent: Agent) -> None:
    """A shared UART tore "again" during a snapshot, so each restored guest first receives the rest of it."""
    for _ in range(2):
        agent.shell._send(b"n\n")
        assert agent.run("echo well").text == "well"


def test_a_command_is_one_line(agent: Agent) -> None:
    with pytest.raises(ValueError, match="one line"):
        agent.run("echo\necho")
