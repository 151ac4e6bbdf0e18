# SPDX-License-Identifier: Apache-2.0
"""scripts/setup.sh: which packages it selects from packages.txt, and on which systems it installs them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.support.paths import PROJECT

PACKAGES = """\
# a comment
everywhere                  is needed everywhere
cross-arm                   HOST/armhf the same for ARM
cross-here                  HOST/{here} not on this machine
only-old                    ON/debian-12 was renamed
only-new                    ON/debian-13,ubuntu-24.04 new name
both                        HOST/armhf ON/debian-13 two conditions
words                       ends here, HOST/{here} is part of the purpose
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with a copy of setup.sh and its own list of packages."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(PROJECT / "scripts/setup.sh", tmp_path / "scripts")
    here = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
    (tmp_path / "scripts/packages.txt").write_text(PACKAGES.format(here=here))
    return tmp_path


def set_up(checkout: Path, release: str, *words: str) -> subprocess.CompletedProcess[str]:
    name, _, version = release.partition(" ")
    (checkout / "os-release").write_text(f'NAME="x"\nID={name}\nVERSION_ID="{version}"\n')
    environment = os.environ | {"MODCOMPAT_OS_RELEASE": str(checkout / "os-release")}
    environment.pop("MODCOMPAT_SKIP_PACKAGES", None)
    command = [str(checkout / "scripts/setup.sh"), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("release", "packages"),
    [
        ("debian 12", "everywhere cross-arm only-old words"),
        ("debian 13", "everywhere cross-arm only-new both words"),
        ("ubuntu 24.04", "everywhere cross-arm only-new words"),
        ("fedora 43", "everywhere cross-arm words"),
    ],
)
def test_conditions_choose_packages(checkout: Path, release: str, packages: str) -> None:
    listed = set_up(checkout, release, "--list")
    assert listed.returncode == 0
    assert listed.stdout.split() == packages.split()


def test_an_unknown_release_stops_with_the_list(checkout: Path) -> None:
    stopped = set_up(checkout, "fedora 43")
    assert stopped.returncode == 2
    assert "this is fedora-43" in stopped.stderr
    assert "only-new                    ON/debian-13,ubuntu-24.04 new name" in stopped.stderr
    assert "MODCOMPAT_SKIP_PACKAGES=1" in stopped.stderr
    assert not (checkout / ".venv").exists()


def test_ubuntu_is_said_to_be_untried(checkout: Path) -> None:
    assert "never tried" in set_up(checkout, "ubuntu 24.04", "--list").stderr
    assert not set_up(checkout, "debian 13", "--list").stderr
