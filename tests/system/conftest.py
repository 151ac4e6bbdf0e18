# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the system tests: real kernels, built unless they are cached, and modules that misbehave."""

import lzma
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.guest.boards import BOARDS, Board
from harness.guest.guest import Guest, Timing
from harness.kernel.module_build import build_modules
from harness.kernel.variants import PRODUCTION
from harness.lab.execution.guest_pool import Guests
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from harness.lab.plan.vendor_modules import VendorModule
from harness.support.paths import MODULES

FAULTY = Path(__file__).parent / "faulty"
LOCKS = MODULES / "locks"
SHIPPED = Path(__file__).parent / "shipped"
SCALE = float(os.environ.get("MODCOMPAT_TIMEOUT_SCALE", "1"))
TIMING = Timing(command=8.0, late=2.0).scaled(SCALE)
GUESTS = ("x86_64-q35", "arm-virt", "arm64-virt")


def users_environment() -> dict[str, str]:
    """The environment without what pytest and its workers add to it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}


class Bench:
    """A board with a production guest that contains the misbehaving modules."""

    def __init__(self, board: Board, folder: Path) -> None:
        self.board = board
        kernels = Kernels(Settings(timing=TIMING))
        production = kernels.kernel(board, PRODUCTION)
        self.files = build_modules(FAULTY, production, kernels.store)
        self.files |= build_modules(LOCKS, production, kernels.store)
        self.guests = Guests(kernels, [VendorModule(name, file=file) for name, file in self.files.items()])
        self.guest: Guest = self.guests.guest(board, PRODUCTION)
        self.folder = folder


@pytest.fixture(scope="module", params=GUESTS)
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Bench]:
    """The bench of each board in turn."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        bench = Bench(BOARDS[request.param], tmp_path_factory.mktemp("bench"))
    yield bench
    bench.guests.close()


@pytest.fixture
def guest(bench: Bench) -> Guest:
    """A pristine guest."""
    bench.guest.make_pristine()
    return bench.guest


@pytest.fixture(scope="session")
def module_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    """Architecture -> name -> module file that a user might pass, whole or damaged."""
    files: dict[str, dict[str, Path]] = {}
    for board in (BOARDS["x86_64-q35"], BOARDS["arm-virt"]):
        folder = tmp_path_factory.mktemp(board.arch.name)
        kernels = Kernels(Settings())
        production = kernels.kernel(board, PRODUCTION)
        built = build_modules(FAULTY, production, kernels.store)
        built |= build_modules(LOCKS, production, kernels.store)
        release = production.release.encode()
        whole = built["locks"].read_bytes()
        made = {
            "truncated": whole[: len(whole) // 2],
            "headless": whole[100:],
            "empty": b"",
            "vermagic": whole.replace(b"vermagic=" + release, b"vermagic=" + release[:-1] + b"0"),
        }
        files[board.arch.name] = {}
        for name, path in built.items():
            files[board.arch.name][name] = Path(shutil.copy(path, folder))
        for name, content in made.items():
            files[board.arch.name][name] = folder / f"{name}.ko"
            files[board.arch.name][name].write_bytes(content)
    return files


def ship(board: Board, folder: Path) -> Path:
    """Put the production kernel of a board into a folder, as a distribution would ship it. Returns the folder."""
    kernels = Kernels(Settings())
    kernel = kernels.kernel(board, PRODUCTION)
    for source, target in (
        (kernel.image, f"boot/vmlinuz-{kernel.release}"),
        (kernel.build_tree / ".config", f"boot/config-{kernel.release}"),
        (kernel.symbols, f"boot/System.map-{kernel.release}"),
        (kernel.build_tree / "Module.symvers", "Module.symvers"),
    ):
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / target)
    modules = folder / f"lib/modules/{kernel.release}/kernel"
    modules.mkdir(parents=True)
    for name, file in build_modules(SHIPPED, kernel, kernels.store).items():
        (modules / f"{name}.ko.xz").write_bytes(lzma.compress(file.read_bytes()))
    return folder


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The production kernel of this project, as a distribution would ship it."""
    return ship(BOARDS["x86_64-q35"], tmp_path_factory.mktemp("shipped"))
