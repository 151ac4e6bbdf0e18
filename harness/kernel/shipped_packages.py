# SPDX-License-Identifier: Apache-2.0
"""Production kernels that come as packages: files, or by name from Debian."""

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.kernel.arch import ARCHITECTURES, Architecture
from harness.kernel.shipped import ShippedKernel, shipped_in
from harness.support import debian, digest, process
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.inputs import expanded, is_named_production
from harness.support.progress import say

_DEBIAN = re.compile(r"debian:(?:(?P<suite>[\w-]+)/)?(?P<package>[a-z0-9][a-z0-9.+-]+)")
_PACKAGES = {".deb", ".rpm", ".udeb"}
_IMAGE_PACKAGE = re.compile(r"\b(linux-image-\S+)(?: \(= ([^)]+)\))?")
_BUILT_FROM = re.compile(r"\blinux \(= ([^)]+)\)")  # Built-Using of a signed kernel
_SERIES = re.compile(r"linux-image-(\d+\.\d+)")
_DEBIAN_MAINTAINER = "debian-kernel@lists.debian.org"
_SYMVERS = "Module.symvers"
_FACTS = "shipped.json"
_NEXT_STEP = "for example debian:linux-image-amd64, or debian:trixie/linux-image-arm64"


def find_shipped(wanted: Sequence[str], store: Store) -> ShippedKernel:
    """The production kernel that --production names: a folder, packages, or `debian:[SUITE/]PACKAGE`.

    Packages are unpacked into the cache, and those of Debian are fetched once. Raises ModcompatError.
    """
    if len(wanted) == 1 and is_named_production(wanted[0]):
        return _from_debian(wanted[0], store)
    paths = [expanded(each).absolute() for each in wanted]
    packages = [path for path in paths if path.suffix in _PACKAGES]
    if packages and len(packages) == len(paths):
        return _from_packages(packages, store)
    if len(paths) != 1:
        raise ModcompatError(
            f"{', '.join(map(str, wanted))}: several production kernels",
            next_step="give one folder, the packages of one kernel, or one debian:PACKAGE",
        )
    return shipped_in(paths[0])


def shipped_kernels(wanted: Sequence[str], store: Store) -> dict[str, ShippedKernel]:
    """Architecture -> production kernel, for the values of --production.

    All packages among them are of one kernel; every other value is a kernel. Raises ModcompatError, also if two are for
    the same architecture.
    """
    packages = [each for each in wanted if Path(each).suffix in _PACKAGES and not is_named_production(each)]
    named = [[each] for each in wanted if each not in packages]
    found: dict[str, ShippedKernel] = {}
    for each in [*named, *([packages] if packages else [])]:
        kernel = find_shipped(each, store)
        if (other := found.setdefault(kernel.config.arch.name, kernel)) is not kernel:
            raise ModcompatError(f"{other.title} and {kernel.title} are both for {kernel.config.arch.name}")
    return found


def _from_debian(wanted: str, store: Store) -> ShippedKernel:
    """A kernel of Debian. Its version is pinned in the cache when it is used for the first time.

    Raises ModcompatError.
    """
    named = _DEBIAN.fullmatch(wanted)
    if not named:
        raise ModcompatError(f"{wanted!r} does not name a package of Debian", next_step=_NEXT_STEP)
    arch = _architecture(named["package"])
    suite = named["suite"] or ""
    inputs = {"package": named["package"], "suite": suite, "architecture": arch.debian.name}

    def build(folder: Path) -> None:
        with store.scratch() as scratch, debian.archive(arch.debian.name, suite) as archive:
            deb, source = _image_package(archive, named["package"], scratch)
            say(f"unpacking {deb.name}")
            _unpack(deb, folder)
            release = next((path.name for path in sorted(folder.glob("**/lib/modules/*"))), "")
            if not release:
                raise ModcompatError(f"{deb.name} has no modules", next_step="choose another kernel, with modules")
            _add_symvers(archive, release, debian.version_of(deb), folder, scratch)
            facts = {"release": release, "source": f"{source}/{suite}".removesuffix("/"), "deb": deb.name}
            (folder / _FACTS).write_text(json.dumps(facts))

    folder = store.get_or_build("shipped", named["package"], inputs, build)
    facts = json.loads((folder / _FACTS).read_text())
    return replace(shipped_in(folder, wanted, facts["release"]), source=facts["source"])


def _architecture(package: str) -> Architecture:
    """The architecture of a kernel's package, from its name. Raises ModcompatError."""
    endings = {ending: arch for arch in ARCHITECTURES.values() for ending in arch.debian.kernels}
    for ending in sorted(endings, key=len, reverse=True):
        if package.startswith("linux-image-") and package.removesuffix("-unsigned").endswith(f"-{ending}"):
            return endings[ending]
    raise ModcompatError(
        f"{package} is not a kernel of Debian for a known architecture: its name would end in {', '.join(endings)}",
        next_step=_NEXT_STEP,
    )


def _image_package(archive: debian.Archive, package: str, folder: Path) -> tuple[Path, str]:
    """Download the package with the image, and return it with the name of its source. Raises ModcompatError.

    package: that package, or one that depends on the newest.
    """
    deb = archive.download(package, folder)
    if not _SERIES.match(package):  # it has no files, and depends on the newest one
        depends = debian.control_field(deb, "Depends")
        found = next((it for it in _IMAGE_PACKAGE.findall(depends) if _SERIES.match(it[0])), None)
        if not found:
            raise ModcompatError(f"Debian's {package} is no kernel, and depends on none", next_step=_NEXT_STEP)
        name, version = found
        say(f"fetching {name} {version} from Debian (about 70 MB)")
        deb = archive.download(f"{name}={version}" if version else name, folder)
    return deb, _source_package(deb)


def _add_symvers(archive: debian.Archive, release: str, version: str, folder: Path, scratch: Path) -> None:
    """Add the Module.symvers of a kernel, which is in the package of its headers."""
    headers = archive.download(f"linux-headers-{release}={version}", scratch)
    found = debian.unpack_member(headers, f"usr/src/linux-headers-{release}/{_SYMVERS}", scratch)
    shutil.copyfile(found, folder / _SYMVERS)


def _unpack(package: Path, folder: Path) -> None:
    """Unpack a package. Raises ModcompatError if it is damaged."""
    if package.suffix != ".rpm":
        debian.unpack(package, folder)
        return
    problem = f"cannot unpack {package.name}: it is damaged, or not an RPM package"
    listed = process.output(["bsdtar", "-x", "-v", "-f", package, "-C", folder], errors=True, problem=problem)
    if not listed.strip():  # bsdtar takes a file that ends early for an empty archive
        raise ModcompatError(problem)


def _from_packages(packages: Sequence[Path], store: Store) -> ShippedKernel:
    """The kernel in package files: an image's, and perhaps those of its modules and headers. Raises ModcompatError."""
    if missing := [str(path) for path in packages if not path.is_file()]:
        raise ModcompatError(f"there is no package {', '.join(missing)}")
    packages = sorted(packages)
    inputs = {path.name: digest.of_file(path) for path in packages}
    title = ", ".join(path.name for path in packages)

    def build(folder: Path) -> None:
        for path in packages:
            say(f"unpacking {path.name}")
            _unpack(path, folder)
        shipped_in(folder, title)  # packages without a kernel are not kept
        source = next((found for path in packages if (found := _source_package(path))), "")
        (folder / _FACTS).write_text(json.dumps({"source": source}))

    folder = store.get_or_build("shipped", packages[0].stem, inputs, build)
    source = json.loads((folder / _FACTS).read_text())["source"]
    return replace(shipped_in(folder, title), source=source)


def _source_package(package: Path) -> str:
    """The package of the source that an image package of Debian was built from; "" for any other package."""
    series = _SERIES.match(package.name)
    if package.suffix != ".deb" or not series:
        return ""
    if _DEBIAN_MAINTAINER not in debian.control_field(package, "Maintainer"):
        return ""
    built_from = _BUILT_FROM.search(debian.control_field(package, "Built-Using"))
    return f"linux-source-{series[1]}={built_from[1] if built_from else debian.version_of(package)}"
