# SPDX-License-Identifier: Apache-2.0
"""Lockdep stays on beside modules that are right, whatever locks they take, and beside a proprietary module."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.guest.boards import BOARDS
from harness.guest.guest import Timing
from harness.kernel.features import FEATURES
from harness.kernel.module_build import build_modules
from harness.kernel.user_config import read_config
from harness.lab.execution.guest_pool import Guests
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from harness.lab.validation.bug_runner import commit, insmod, prepared
from harness.lab.validation.bugs import BUGS, FOLDER, Where

BOARD = BOARDS["x86_64-q35"]


# Moves and removes directories of the file system of the module `annotated`
_DIRECTORIES = (
    "mkdir /tmp/fs && mount -t annotated none /tmp/fs && cd /tmp/fs && mkdir -p a/c/d b && mv a/c b/e && mv b/e a/c "
    "&& mv a/c b/e && mv b/e/d a/f && rmdir a/f b/e && cd / && umount /tmp/fs && rmmod annotated"
)
_NO_REPORT = (  # TAINT_WARN of include/linux/panic.h; lockdep switches itself off when it has reported something
    "test $(($(cat /proc/sys/kernel/tainted) & 512)) = 0 && grep -q 'debug_locks: *1' /proc/lockdep_stats"
)
# kswapd begins below 1.25 times vm.min_free_kbytes (Documentation/admin-guide/sysctl/vm.rst)
_RECLAIM = (
    "w=/proc/sys/vm/min_free_kbytes; usual=$(cat $w); "
    "free=$(sed -n 's/MemFree: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo); echo $((free * 9 / 10)) >$w; sleep 2; "
    "echo $usual >$w; test $(cat /sys/module/reclaimed/parameters/freed) -gt 0"
)
_ORDER = next(bug for bug in BUGS if bug.id == "dependencies/static-mutexes")


def reported_after(where: Where, commands: str) -> bool:
    """Whether the order of two locks is reported after commands. A report before has switched lockdep off."""
    with prepared(BOARD, _ORDER.variant(where), Settings()) as guests:
        return bool(commit(guests.guest(BOARD, _ORDER.variant(where)), replace(_ORDER, before=commands), where))


@pytest.mark.parametrize("where", [Where.REBUILT, Where.VENDOR])
def test_many_locks_for_one_context_are_no_bug(where: Where) -> None:
    assert reported_after(where, f"{insmod(where, 'nested')} && {_NO_REPORT}")


def test_a_lock_of_a_context_may_be_freed_while_another_is_held() -> None:
    """Lockdep reports it in a module that tells of its locks."""
    assert reported_after(Where.VENDOR, f"{insmod(Where.VENDOR, 'nested')} release=1 && {_NO_REPORT}")


@pytest.mark.parametrize("where", [Where.STOCK, Where.REBUILT, Where.VENDOR])
def test_what_lockdep_is_told_by_annotations_is_no_bug_without(where: Where) -> None:
    """Locks of other tasks, of each CPU, and of one that is held. Both tasks that took the first end before rmmod."""
    assert reported_after(where, f"{insmod(where, 'told')} && sleep 1 && rmmod told && {_NO_REPORT}")


@pytest.mark.parametrize("where", [Where.STOCK, Where.VENDOR])
def test_memory_that_is_allocated_under_a_lock_of_reclaim_is_no_bug(where: Where) -> None:
    """kswapd reclaims what the module `reclaimed` has when there is less free memory than the kernel wants."""
    assert reported_after(where, f"{insmod(where, 'reclaimed')} && {_RECLAIM} && rmmod reclaimed && {_NO_REPORT}")


@pytest.mark.parametrize("where", [Where.STOCK, Where.VENDOR])
def test_the_list_of_consoles_is_read_beside_a_module(where: Where) -> None:
    """In 6.12 the kernel asserts that no console_srcu_read_lock() is held, which nobody knows of SRCU in a module."""
    variant = _ORDER.variant(where)
    with prepared(BOARD, variant, Settings(source="linux-source-6.12")) as guests:
        result = guests.guest(BOARD, variant).run(f"{insmod(where, 'told')} && cat /proc/consoles && {_NO_REPORT}")
        assert result.status == 0, result.text
        assert "ttyS0" in result.text


def test_nothing_is_reported_after_lockdep_is_off(tmp_path: Path) -> None:
    """In 6.12, pipes and sockets have functions that compare locks of a class. Unknown locks have one in common."""
    source = "linux-source-6.12"
    variant = _ORDER.variant(Where.REBUILT).on_user_config
    ours = Kernels(Settings(source=source)).kernel(BOARD, variant.production).build_tree / ".config"
    file = tmp_path / "production.config"
    file.write_text(f"{ours.read_text()}CONFIG_NET=y\nCONFIG_UNIX=y\nCONFIG_NAMESPACES=y\nCONFIG_NET_NS=y\n")
    settings = Settings(source=source, configs={"x86_64": read_config(file)})
    with prepared(BOARD, variant, settings) as guests:
        guest = guests.guest(BOARD, variant)
        assert commit(guest, _ORDER, Where.REBUILT)
        begin = guest.log_start
        result = guest.run("for i in 1 2 3 4; do unshare -n true && echo piped | cat; done")
        assert result.text.split() == ["piped"] * 4
        assert "WARNING" not in guest.console.read(begin).decode(errors="replace").split("committed")[-1]


def test_a_module_of_an_isolated_kernel_without_lockdep_is_like_one_of_production() -> None:
    variant = _ORDER.variant(Where.VENDOR)
    kernels = Kernels(Settings())
    other = kernels.kernel(BOARD, replace(variant, feature=FEATURES["list"]))
    with Guests(kernels, files={"other/told.ko": build_modules(FOLDER, other, kernels.store)["told"]}) as guests:
        guest = guests.guest(BOARD, variant)
        guest.make_pristine()
        result = guest.run(f"insmod /other/told.ko && sleep 1 && rmmod told && {_NO_REPORT}")
        assert result.status == 0, result.text
        assert guest.run("grep debug_locks: /proc/lockdep_stats").text.split() == ["debug_locks:", "1"]


@pytest.mark.parametrize("where", [Where.REBUILT, Where.VENDOR])
def test_a_thousand_locks_leave_room_for_those_of_the_kernel(where: Where) -> None:
    """Where each of them is a class, the pairs in which they are taken would fill lockdep's tables."""
    variant = _ORDER.variant(where)
    with prepared(BOARD, variant, Settings(timing=Timing(command=120.0))) as guests:
        guest = guests.guest(BOARD, variant)
        assert guest.run(insmod(where, "crowd")).status == 0
        assert guest.run("grep debug_locks: /proc/lockdep_stats").text.split() == ["debug_locks:", "1"]
        (used,) = re.findall(r"direct dependencies: +(\d+) \[max: 32768\]", guest.run("cat /proc/lockdep_stats").text)
        assert (int(used) > 16384) is (where is Where.VENDOR)


@pytest.mark.parametrize("where", [Where.STOCK, Where.REBUILT, Where.VENDOR])
def test_locks_of_one_kind_and_a_file_system_are_no_bug(where: Where) -> None:
    """A module that was built for production does not tell that its locks nest, nor which inodes are of one kind."""
    assert reported_after(where, f"{insmod(where, 'annotated')} && {_DIRECTORIES} && {_NO_REPORT}")


def test_locks_of_one_kind_are_a_bug_if_the_module_does_not_tell() -> None:
    """Where the module could have told: without this, the test above could not fail."""
    assert not reported_after(Where.REBUILT, f"{insmod(Where.REBUILT, 'annotated')} wrong=1")


def test_every_lock_of_the_kernel_has_a_class_by_its_own_code() -> None:
    """Those that lockdep knows nothing of have a class each, and there is room for 1,024 of these."""
    variant = _ORDER.variant(Where.VENDOR)
    with prepared(BOARD, variant, Settings()) as guests:
        guest = guests.guest(BOARD, variant)
        assert guest.run("grep 'lock without class' /proc/lockdep").text == ""
        assert int(guest.run("grep -c : /proc/lockdep").text) > 100


def test_the_order_of_locks_is_reported_beside_a_proprietary_module() -> None:
    assert reported_after(Where.VENDOR, insmod(Where.VENDOR, "proprietary"))
    assert not reported_after(Where.STOCK, insmod(Where.STOCK, "proprietary"))
