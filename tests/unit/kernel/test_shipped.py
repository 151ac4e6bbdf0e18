# SPDX-License-Identifier: Apache-2.0
"""Production as it ships: its files are found wherever they are, and held against one another."""

import gzip
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.kernel import shipped as module
from harness.kernel.shipped import _one, require_source, shipped_in
from harness.kernel.shipped_packages import find_shipped, shipped_kernels
from harness.kernel.source import KernelSource
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from tests.unit.tools import need

RELEASE = "6.1.0-7-amd64"
CONFIG = "# Linux/x86 6.1.9 Kernel Configuration\nCONFIG_X86_64=y\nCONFIG_MODULES=y\nCONFIG_MODVERSIONS=y\n"
SYMVERS = "0x12345678\tmodule_layout\tvmlinux\tEXPORT_SYMBOL\t\n"


def image(release: str = RELEASE) -> bytes:
    return b"\0MZ" + gzip.compress(bytes(4000) + f"Linux version {release} (a@b) #1 SMP\n".encode() + bytes(4000))


def kernel_folder(folder: Path, places: dict[str, str | bytes]) -> Path:
    for place, content in places.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


INSTALLED: dict[str, str | bytes] = {
    f"boot/vmlinuz-{RELEASE}": image(),
    f"boot/config-{RELEASE}": CONFIG,
    f"boot/System.map-{RELEASE}": "ffffffff81000000 T _stext\n",
    f"lib/modules/{RELEASE}/kernel/drivers/net/veth.ko.xz": b"\xfd7zXZ\0",
    f"usr/src/linux-headers-{RELEASE}/Module.symvers": SYMVERS,
}


def test_an_installed_system_has_all_files(tmp_path: Path) -> None:
    found = shipped_in(kernel_folder(tmp_path, INSTALLED))
    assert (found.release, found.version, found.has_versions) == (RELEASE, "6.1.9", True)
    assert found.config.shipped
    assert found.config.symvers == found.symvers == tmp_path / f"usr/src/linux-headers-{RELEASE}/Module.symvers"
    assert found.symbols == tmp_path / f"boot/System.map-{RELEASE}"
    assert found.modules == tmp_path / f"lib/modules/{RELEASE}"
    assert list(found.exports) == ["module_layout"]


def test_the_deploy_folder_of_a_build_has_its_own_names(tmp_path: Path) -> None:
    found = shipped_in(
        kernel_folder(
            tmp_path,
            {
                "Image-board.bin": image("6.1.9-yocto"),
                "kernel.config": CONFIG.replace("X86_64", "ARM64"),
                "modules/net/veth.ko": b"",
                "board.dtb": b"\xd0\x0d\xfe\xed",
                "symvers.gz": gzip.compress(SYMVERS.encode()),
            },
        )
    )
    assert (found.release, found.config.arch.name, found.symbols) == ("6.1.9-yocto", "arm64", None)
    assert found.modules == tmp_path / "modules/net"
    assert found.device_tree("board.dtb") == tmp_path / "board.dtb"
    assert found.device_tree("other.dtb") is None
    assert list(found.exports) == ["module_layout"]


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["config-6.1.0-50", "config-6.1.0-48"], "config-6.1.0-50"),
        (["config-6.1.0-5", "config-6.1.0-500", ".config"], ".config"),
        (["config-6.1.0-48"], "config-6.1.0-48"),
        (["config-6.1.0-48", "config-6.1.0-49"], ""),
        (["lib/modules/6.1.0-50/config", "config"], "lib/modules/6.1.0-50/config"),
        (["kernel/configs/debug.config", ".config"], ".config"),
    ],
    ids=["own", "unversioned", "only", "others", "own-folder", "nearest"],
)
def test_a_file_of_another_release_is_not_taken_for_that_of_the_kernel(
    names: list[str], chosen: str, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = _one("config", [tmp_path / name for name in names], "6.1.0-50")
    assert found == (tmp_path / chosen if chosen else None)


OTHER = "6.1.0-8-amd64"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({f"boot/vmlinuz-{RELEASE}": b"garbage" * 100}, "no kernel image that contains a version"),
        ({f"boot/vmlinuz-{RELEASE}": None}, "has no kernel image"),
        ({f"boot/vmlinuz-{OTHER}": image(OTHER)}, f"several kernels: {RELEASE}.*{OTHER}"),
        ({f"boot/config-{RELEASE}": None}, f"has no configuration: no config-{RELEASE}, and none in the image"),
        ({f"boot/config-{RELEASE}": "nothing"}, "is not a kernel configuration"),
        ({f"boot/config-{RELEASE}": CONFIG.replace("6.1.9", "6.6.1")}, "of Linux 6.6.1"),
        ({f"usr/src/linux-headers-{RELEASE}/Module.symvers": "text\n"}, "is not a Module.symvers: text"),
        ({f"usr/src/linux-headers-{RELEASE}/Module.symvers": ""}, "has no symbols"),
        (
            {f"usr/src/linux-headers-{RELEASE}/Module.symvers": SYMVERS.replace("module_layout", "other")},
            "lacks the kernel's own symbols",
        ),
        (
            {f"usr/src/linux-headers-{RELEASE}/Module.symvers": SYMVERS.replace("0x12345678", "0x00000000")},
            "has no symbol versions, but production has MODVERSIONS",
        ),
        (
            {
                f"lib/modules/{RELEASE}/kernel/drivers/net/veth.ko.xz": None,
                f"lib/modules/{OTHER}/kernel/drivers/net/veth.ko.xz": b"",
            },
            f"the image is {RELEASE}, but the modules are of {OTHER}",
        ),
    ],
)
def test_files_that_do_not_belong_together_are_refused(
    tmp_path: Path, change: dict[str, str | bytes | None], problem: str
) -> None:
    places = {place: content for place, content in {**INSTALLED, **change}.items() if content is not None}
    with pytest.raises(ModcompatError, match=problem) as caught:
        shipped_in(kernel_folder(tmp_path, places))
    assert "\n" not in caught.value.problem
    assert caught.value.next_step


def test_a_folder_with_too_many_files_is_not_listed_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_FILES", 4)
    with pytest.raises(ModcompatError, match="has more than 4 files"):
        shipped_in(kernel_folder(tmp_path, INSTALLED))


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (["absent"], "there is no folder"),
        (["absent.deb"], "there is no package"),
        (["one", "two"], "several production kernels"),
        (["debian:linux image"], "does not name a package of Debian"),
        (["debian:linux-image-s390x"], "not a kernel of Debian for a known architecture"),
    ],
)
def test_what_is_no_kernel_is_refused_before_anything_is_fetched(
    tmp_path: Path, wanted: list[str], problem: str
) -> None:
    with pytest.raises(ModcompatError, match=problem):
        find_shipped(wanted, Store(tmp_path / "cache"))


def debian_package(tmp_path: Path, places: dict[str, str | bytes]) -> Path:
    """A package like Debian's own."""
    tree = kernel_folder(tmp_path / "tree", places)
    control = (
        f"Package: linux-image-{RELEASE}\nVersion: 6.1.9-1\nArchitecture: amd64\nBuilt-Using: linux (= 6.1.9-1)\n"
        "Maintainer: Debian Kernel Team <debian-kernel@lists.debian.org>\nDescription: kernel\n"
    )
    kernel_folder(tree, {"DEBIAN/control": control})
    deb = tmp_path / f"linux-image-{RELEASE}_6.1.9-1_amd64.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, deb], check=True, capture_output=True)
    return deb


def test_a_package_is_unpacked_once_and_names_its_source(tmp_path: Path) -> None:
    deb, store = debian_package(tmp_path, INSTALLED), Store(tmp_path / "cache")
    found = find_shipped([str(deb)], store)
    assert (found.release, found.source) == (RELEASE, "linux-source-6.1=6.1.9-1")
    assert found.image.is_relative_to(store.root)
    assert find_shipped([str(deb)], store).image == found.image


@pytest.mark.parametrize("damage", [lambda deb: deb[: len(deb) // 2], lambda _: b"!<arch>\n", lambda _: b"text"])
def test_a_damaged_package_leaves_nothing_in_the_cache(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    deb, store = debian_package(tmp_path, INSTALLED), Store(tmp_path / "cache")
    deb.write_bytes(damage(deb.read_bytes()))
    with pytest.raises(ModcompatError, match=r"cannot unpack linux-image-\S+: it is damaged"):
        find_shipped([str(deb)], store)
    assert not list(store.root.glob("shipped/*"))


def test_a_package_without_a_kernel_is_not_kept(tmp_path: Path) -> None:
    deb, store = debian_package(tmp_path, {"usr/share/doc/README": "text"}), Store(tmp_path / "cache")
    with pytest.raises(ModcompatError, match="has no kernel image"):
        find_shipped([str(deb)], store)
    assert not list(store.root.glob("shipped/*"))


def test_kernels_are_told_apart_by_architecture(tmp_path: Path) -> None:
    one = kernel_folder(tmp_path / "one", INSTALLED)
    other = {**INSTALLED, f"boot/config-{RELEASE}": CONFIG.replace("X86_64", "ARM64")}
    two = kernel_folder(tmp_path / "two", other)
    store = Store(tmp_path / "cache")
    assert list(shipped_kernels([str(one), str(two)], store)) == ["x86_64", "arm64"]
    with pytest.raises(ModcompatError, match="are both for x86_64"):
        shipped_kernels([str(one), str(kernel_folder(tmp_path / "three", INSTALLED))], store)


@pytest.mark.parametrize("version", ["6.12.9", "6.2.9", "5.1.9"])
def test_the_image_and_the_configuration_have_to_be_of_the_same_version(version: str, tmp_path: Path) -> None:
    text = CONFIG.replace("6.1.9", version)
    assert text != CONFIG
    other = {**INSTALLED, f"boot/config-{RELEASE}": text}
    with pytest.raises(ModcompatError, match=f"is of Linux {version}"):
        shipped_in(kernel_folder(tmp_path, other))


def test_the_source_has_to_be_of_the_same_version(tmp_path: Path) -> None:
    found = shipped_in(kernel_folder(tmp_path, INSTALLED))
    require_source(found, KernelSource("6.1.9", {"version": "6.1.9"}, Path))
    with pytest.raises(ModcompatError, match=r"is Linux 6\.1\.9, and 6\.1\.10 is 6\.1\.10"):
        require_source(found, KernelSource("6.1.10", {"version": "6.1.10"}, Path))


def test_an_rpm_package_is_unpacked(tmp_path: Path) -> None:
    need("rpmbuild")
    need("bsdtar")
    tree = kernel_folder(tmp_path / "tree", INSTALLED)
    files = "\n".join(f"/{place}" for place in INSTALLED)
    (tmp_path / "kernel.spec").write_text(
        "Name: kernel\nVersion: 6.1.9\nRelease: 1\nSummary: kernel\nLicense: GPL\n%description\nkernel\n"
        f"%install\ncp -a {tree}/. %{{buildroot}}\n%files\n{files}\n"
    )
    define = ["--define", f"_topdir {tmp_path}", "--define", "__os_install_post %{nil}", "--target", "x86_64"]
    subprocess.run(["rpmbuild", "-bb", *define, tmp_path / "kernel.spec"], check=True, capture_output=True)
    (package,) = tmp_path.rglob("*.rpm")
    found = find_shipped([str(package)], Store(tmp_path / "cache"))
    assert (found.release, found.source, found.modules is not None) == (RELEASE, "", True)
    package.write_bytes(package.read_bytes()[:2000])
    with pytest.raises(ModcompatError, match="it is damaged, or not an RPM package"):
        find_shipped([str(package)], Store(tmp_path / "cache"))
