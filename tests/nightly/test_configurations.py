"""Features on a production configuration of the user's, made by the Kconfig of a real source tree."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.boards import BOARDS
from harness.errors import ModcompatError
from harness.kernel import users_config
from harness.kernel.config import KernelSpec, differences, distinct, parse, resolve
from harness.kernel.isolation import isolated, kernel_spec
from harness.kernel.kconfig import all_no
from harness.kernel.source import DEFAULT_PACKAGE, KernelSource, find_source
from harness.kernel.users_config import UsersConfig, read_config
from harness.kernels import Kernels
from harness.settings import Settings
from harness.store import Store
from harness.variants import PRODUCTION, variant_named

BOARD = BOARDS["x86_64-q35"]
USERS = """
CONFIG_LOCALVERSION="-acme"
CONFIG_HZ_250=y
CONFIG_MODVERSIONS=y
CONFIG_FTRACE=y
CONFIG_ENABLE_DEFAULT_TRACERS=y
CONFIG_KPROBES=y
# CONFIG_SLUB_DEBUG is not set
"""


@pytest.fixture(scope="module")
def store() -> Store:
    return Store()


@pytest.fixture(scope="module")
def source(store: Store) -> KernelSource:
    return find_source(DEFAULT_PACKAGE, store)


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> UsersConfig:
    ours = (Kernels(Settings()).kernel(BOARD, PRODUCTION).build_tree / ".config").read_text()
    file = tmp_path_factory.mktemp("users") / "production.config"
    file.write_text(ours + USERS)
    return read_config(file)


def spec(name: str, users: UsersConfig, source: KernelSource, store: Store) -> KernelSpec:
    return kernel_spec(users.arch, source, replace(variant_named(name), bare=False), store, users=users)


@pytest.mark.parametrize("name", ["stock-spinlock", "stock-ftrace", "isolated-all"], ids=["locks", "tracer", "all"])
def test_a_feature_changes_nothing_else_of_the_users_configuration(
    name: str, users: UsersConfig, source: KernelSource, store: Store
) -> None:
    featured = spec(name, users, source, store)
    config = parse(resolve(featured, store))  # the gate is part of it
    assert (config["LOCALVERSION"], config["HZ"], config["KPROBES"]) == ('"-acme"', "250", "y")
    assert differences(parse(resolve(featured.production, store)), config)
    assert featured.versions
    if featured.variant.isolated:
        assert config["MODULE_ABI_SYMVERS"] == '"production.symvers"'
        told = {symbol for symbol in config if symbol.startswith("MODULE_ABI_PRODUCTION_HAS") and config[symbol] == "y"}
        assert {word.rpartition("HAS_")[2] for word in told} >= {"TRACING", "KPROBES"}
        assert "MODULE_ABI_PRODUCTION_HAS_FUNCTION_TRACER" not in told


@pytest.mark.parametrize("name", ["stock-kprobes", "isolated-kprobes"], ids=["stock", "isolated"])
def test_what_production_has_needs_no_kernel_of_its_own(
    name: str, users: UsersConfig, source: KernelSource, store: Store
) -> None:
    assert distinct(spec(name, users, source, store), store).variant == PRODUCTION


@pytest.mark.parametrize(
    "production",
    [
        {"FTRACE": "y", "ENABLE_DEFAULT_TRACERS": "y", "MODULE_ABI_PRODUCTION_HAS_TRACING": "y"},
        {"KPROBES": "y", "MODULE_ABI_PRODUCTION_HAS_KPROBES": "y"},
        {"BPF_SYSCALL": "y"},
    ],
    ids=["tracing", "kprobes", "bpf"],
)
def test_what_production_has_by_implication_is_assumed(
    production: dict[str, str], users: UsersConfig, source: KernelSource, store: Store, tmp_path: Path
) -> None:
    """A preemptible kernel with one of these has task-based RCU, in front of almost everything in task_struct."""
    features = dict.fromkeys(("FTRACE", "ENABLE_DEFAULT_TRACERS", "KPROBES"), "n") | production
    requested = parse(users.text) | features | {"PREEMPT": "y", "PREEMPT_NONE": "n", "MODULE_ABI_ISOLATION": "y"}
    got = all_no(isolated(source, store).tree(), users.arch, requested, tmp_path, "trying a configuration")
    assert got["TASKS_RCU"] == "y"
    assert got["MODULE_ABI_PRODUCTION_HAS_TASKS_RCU"] == "y"
    assert got.get("MODULE_ABI_ISOLATE_TASKS_RCU", "n") == "n"


def test_what_the_harness_needs_is_named_or_added(
    users: UsersConfig, source: KernelSource, store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "production.config"
    file.write_text(users.text + "# CONFIG_DEVTMPFS is not set\n# CONFIG_SERIAL_8250_CONSOLE is not set\n")
    with pytest.raises(ModcompatError) as caught:
        resolve(spec("production", read_config(file), source, store), store)
    for words in ("CONFIG_DEVTMPFS=y: ", "CONFIG_SERIAL_8250_CONSOLE=y: ", "--allow-config-additions"):
        assert words in str(caught.value)
    adding = read_config(file, may_add=True)
    config = parse(resolve(spec("production", adding, source, store), store))
    assert (config["DEVTMPFS"], config["SERIAL_8250_CONSOLE"]) == ("y", "y")
    assert {"DEVTMPFS", "SERIAL_8250_CONSOLE"} <= set(users_config.added(adding, source, store))
