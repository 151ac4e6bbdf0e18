# SPDX-License-Identifier: Apache-2.0
"""Features on top of a user-supplied production configuration, resolved by the Kconfig of a real tree."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.guest.boards import BOARDS
from harness.kernel import user_config
from harness.kernel.arch import ARCHITECTURES
from harness.kernel.config import KernelSpec, distinct, resolve
from harness.kernel.features import FEATURES, Feature
from harness.kernel.isolation_patches import isolated, kernel_spec
from harness.kernel.kconfig import all_no, differences, in_fragments, parse
from harness.kernel.source import DEFAULT_PACKAGE, KernelSource, find_source, version_of
from harness.kernel.user_config import UserConfig, production_has, read_config
from harness.kernel.variants import PRODUCTION, Variant, variant_named
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.paths import KCONFIG
from tests.isolation.trials import UPROBES as UPROBE_EVENTS

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
def users(tmp_path_factory: pytest.TempPathFactory) -> UserConfig:
    ours = (Kernels(Settings()).kernel(BOARD, PRODUCTION).build_tree / ".config").read_text()
    file = tmp_path_factory.mktemp("users") / "production.config"
    file.write_text(ours + USERS)
    return read_config(file)


def spec(name: str, users: UserConfig, source: KernelSource, store: Store) -> KernelSpec:
    return kernel_spec(users.arch, source, replace(variant_named(name), bare=False), store, user_config=users)


@pytest.mark.parametrize("name", ["stock-spinlock", "stock-ftrace", "isolated-all"], ids=["locks", "tracer", "all"])
def test_a_feature_changes_nothing_else_of_the_users_configuration(
    name: str, users: UserConfig, source: KernelSource, store: Store
) -> None:
    featured = spec(name, users, source, store)
    config = parse(resolve(featured, store))  # includes the gate
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
    name: str, users: UserConfig, source: KernelSource, store: Store
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
    production: dict[str, str], users: UserConfig, source: KernelSource, store: Store, tmp_path: Path
) -> None:
    """Each selects TASKS_RCU on a preemptible kernel, which moves almost every member of task_struct."""
    features = dict.fromkeys(("FTRACE", "ENABLE_DEFAULT_TRACERS", "KPROBES"), "n") | production
    requested = parse(users.text) | features | {"PREEMPT": "y", "PREEMPT_NONE": "n", "MODULE_ABI_ISOLATION": "y"}
    got = all_no(isolated(source, store).tree(), users.arch, requested, tmp_path, "trying a configuration")
    assert got["TASKS_RCU"] == "y"
    assert got["MODULE_ABI_PRODUCTION_HAS_TASKS_RCU"] == "y"
    assert got.get("MODULE_ABI_ISOLATE_TASKS_RCU", "n") == "n"


TRACER = "CONFIG_FUNCTION_TRACER=y\n# CONFIG_FUNCTION_GRAPH_TRACER is not set\n"
LOCKS = ("DEBUG_SPINLOCK", "DEBUG_MUTEXES", "DEBUG_RWSEMS")
IsolatedOn = Callable[[str, Feature], set[str]]


@pytest.fixture
def isolated_on(users: UserConfig, source: KernelSource, store: Store, tmp_path: Path) -> IsolatedOn:
    """Symbols that are on in a feature's isolated kernel, on the user's configuration with some changes."""

    def on(changes: str, feature: Feature) -> set[str]:
        file = tmp_path / "production.config"
        file.write_text(f"{users.text}\n{changes}")
        featured = kernel_spec(
            users.arch, source, Variant(feature, isolated=True), store, user_config=read_config(file)
        )
        return {symbol for symbol, value in parse(resolve(featured, store)).items() if value == "y"}

    return on


@pytest.mark.parametrize(
    ("production", "feature", "symbol"),
    [
        ("# CONFIG_UPROBE_EVENTS is not set\n", UPROBE_EVENTS, "UPROBES"),
        (TRACER, FEATURES["ftrace"], "FUNCTION_GRAPH_TRACER"),
    ],
    ids=["uprobes", "graph"],
)
def test_what_production_lacks_does_not_follow_from_what_it_has(
    production: str, feature: Feature, symbol: str, isolated_on: IsolatedOn
) -> None:
    """Production has tracing or the function tracer. Only the options on top of these are isolated."""
    on = isolated_on(production, feature)
    assert {symbol, f"MODULE_ABI_ISOLATE_{symbol}", "MODULE_ABI_PRODUCTION_HAS_TRACING"} <= on
    assert f"MODULE_ABI_PRODUCTION_HAS_{symbol}" not in on
    assert not {"MODULE_ABI_ISOLATE_TRACING", "MODULE_ABI_ISOLATE_FUNCTION_TRACER"} & on


def test_locks_that_production_debugs_are_as_it_has_them(isolated_on: IsolatedOn) -> None:
    production = "".join(f"CONFIG_{lock}=y\n" for lock in LOCKS)
    on = isolated_on(f"{production}# CONFIG_KPROBES is not set\n", FEATURES["kprobes"])
    assert {f"MODULE_ABI_PRODUCTION_HAS_{lock}" for lock in LOCKS} | {"MODULE_ABI_ISOLATE_KPROBES"} <= on
    assert not {f"{lock}_OUTSIDE" for lock in LOCKS} & on


def test_other_locks_are_debugged_from_outside(isolated_on: IsolatedOn) -> None:
    on = isolated_on("CONFIG_DEBUG_MUTEXES=y\n", FEATURES["spinlock"])
    assert {f"{lock}_OUTSIDE" for lock in LOCKS} & on == {"DEBUG_SPINLOCK_OUTSIDE"}
    assert {f"MODULE_ABI_PRODUCTION_HAS_{lock}" for lock in LOCKS} & on == {"MODULE_ABI_PRODUCTION_HAS_DEBUG_MUTEXES"}


def test_options_that_are_not_isolated_are_told(users: UserConfig, source: KernelSource, store: Store) -> None:
    """Ours are listed in images/kconfig/isolation.config; a user's are read from the configuration."""
    name = "MODULE_ABI_PRODUCTION_OPTIONS"
    ours = in_fragments([KCONFIG / "isolation.config"])[name]
    for arch in ARCHITECTURES.values():
        production = parse(resolve(kernel_spec(arch, source, PRODUCTION, store), store))
        told = production_has(production, arch, version_of(source))[name]
        assert set(told.strip('"').split()) == set(ours.strip('"').split())
    assert "DEBUG_FS" in parse(resolve(spec("isolated-all", users, source, store), store))[name]


def test_what_the_harness_needs_is_named_or_added(
    users: UserConfig, source: KernelSource, store: Store, tmp_path: Path
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
    assert {"DEVTMPFS", "SERIAL_8250_CONSOLE"} <= set(user_config.added(adding, source, store))
