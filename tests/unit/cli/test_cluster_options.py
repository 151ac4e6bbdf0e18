# SPDX-License-Identifier: Apache-2.0
"""--cluster of the commands that have it: what it excludes, and a scheduler that is not there."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli.main import main
from harness.support.cluster import cluster

_NOWHERE = ("--cluster", "tcp://127.0.0.1:1")


def modcompat(*words: str) -> Result:
    return CliRunner().invoke(main, words)


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("matrix", "default", "--shard", "1/2"), "--shard"),
        (("matrix", "default", "-n", "2"), "-n"),
        (("sweep", "--production", "debian:linux-image-amd64", "--shard", "1/2"), "--shard"),
        (("sweep", "--production", "debian:linux-image-amd64", "-n", "1"), "-n"),
        (("check", "vendor.ko", "--shard", "1/2"), "--shard"),
        (("check", "vendor.ko", "-n", "2"), "-n"),
        (("check", "vendor.ko", "--core-dump"), "--core-dump"),
    ],
)
def test_options_for_one_machine_exclude_it(words: tuple[str, ...], option: str) -> None:
    result = modcompat(*words, *_NOWHERE)
    assert result.exit_code == 2
    assert result.output == f"modcompat: --cluster and {option} exclude each other\n  next: leave out one of them\n"


@pytest.mark.parametrize("option", ["--module=vendor.ko", "--config", "-q"])
def test_a_matrix_takes_few_options_of_pytest_with_it(option: str) -> None:
    result = modcompat("matrix", "default", *_NOWHERE, "-k", "perf", "-x", option)
    assert result.exit_code == 2
    assert result.output.startswith(f"modcompat: --cluster takes no {option}\n")


@pytest.mark.parametrize("words", [("matrix", "default", "--board", "q35"), ("build", "production")])
def test_without_a_scheduler_nothing_is_left(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 0.5)
    result = modcompat(*words, *_NOWHERE)
    assert result.exit_code == 2
    assert result.output.startswith("modcompat: no dask scheduler answers at tcp://127.0.0.1:1")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert len(list(tmp_path.glob("runs/2*"))) == 0
