# SPDX-License-Identifier: Apache-2.0
"""Kernel source trees: Debian's package, or a user-supplied folder."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.support import debian, digest
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError
from harness.support.inputs import expanded
from harness.support.progress import say

DEFAULT_PACKAGE = "linux-source-6.1"
# The Debian release that has each kernel. Other releases download it from there, because verdicts are measured on the
# default kernel.
_RELEASES = {
    "linux-source-5.10": "bullseye",
    "linux-source-6.1": "bookworm",
    "linux-source-6.12": "trixie",
    "linux-source-7.3": "trixie-backports",
}
# A package, perhaps with a version and a release of Debian: linux-source-6.12=6.12.118-1/trixie
_PACKAGE = re.compile(r"(?P<name>linux-source-[\w.]+)(?:=(?P<version>[\w.+~:-]+))?(?:/(?P<release>[\w-]+))?")
_NUMBER = re.compile(r"^(VERSION|PATCHLEVEL|SUBLEVEL) = (\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class KernelSource:
    """A kernel source tree."""

    label: str
    identity: dict[str, str]  # distinguishes it from every other source, for cache keys
    tree: Callable[[], Path]  # returns the folder, and fetches it first if necessary; never called for cached results
    original: "KernelSource | None" = None  # the source that an isolated one was made from
    stat: str = ""  # digest.of_stat() of a user's folder, which the identity is of; "" if the tree does not change
    history: Path | None = None  # the git tree that it is, or is a copy of: a part of its release comes from there


def version_of(source: KernelSource) -> str:
    """The version of a source from its Makefile, like `6.1.192`: the beginning of its releases and vermagics.

    Raises ModcompatError if the source has no Makefile.
    """
    if version := source.identity.get("version"):
        return version.split("-")[0]
    try:
        numbers = dict(_NUMBER.findall((source.tree() / "Makefile").read_text()))
    except OSError:
        raise ModcompatError(f"{source.tree()} is not a kernel source tree: it has no Makefile to read") from None
    return ".".join(numbers.get(name, "?") for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))


def find_source(wanted: str, store: Store) -> KernelSource:
    """The source that `--kernel-source` names: a folder, or a package like `linux-source-6.1`.

    A package may have a version and a release of Debian: `linux-source-6.12=6.12.118-1/trixie`. Raises ModcompatError
    if it is not a kernel source.
    """
    _require_plain(store.root)
    if is_package(wanted):
        return _debian_source(wanted, store)
    return _folder_source(expanded(wanted), store)


def user_tree(folder: Path) -> KernelSource:
    """A user's source tree in any state, for its version and its files. It may be patched, configured and built."""
    folder = folder.absolute()
    return KernelSource(folder.name, {}, lambda: folder)


def absolute(wanted: str) -> str:
    """The same source, independent of the current folder. Raises ModcompatError if a `~user` does not exist."""
    return str(expanded(wanted).absolute()) if not is_package(wanted) else wanted


def is_known(wanted: str, store: Store) -> bool:
    """Whether find_source() returns without fetching anything."""
    return not is_package(wanted) or store.get("pin", wanted, {"package": wanted}) is not None


def is_package(wanted: str) -> bool:
    """Whether a kernel source is named by a Debian package, and not by a folder."""
    return _PACKAGE.fullmatch(wanted) is not None


def _debian_source(wanted: str, store: Store) -> KernelSource:
    """Debian's kernel source. Its version is pinned in the cache when it is used for the first time.

    After `modcompat cache prune --all --kind pin` the next run takes the newest version.
    """
    named = _PACKAGE.fullmatch(wanted)
    assert named is not None
    package, version = named["name"], named["version"]

    def fetch(folder: Path) -> tuple[Path, dict[str, str]]:
        say(f"fetching {wanted} from Debian (about 140 MB)")
        request = f"{package}={version}" if version else package
        deb = debian.download(request, "all", folder, since=named["release"] or _RELEASES.get(package, ""))
        tarball = debian.unpack_member(deb, f"usr/src/{package}.tar.xz", folder)
        facts = {"package": package, "version": debian.version_of(deb), "content": digest.of_file(tarball)}
        deb.unlink()
        return tarball, facts

    def pin(folder: Path) -> None:
        with store.scratch() as scratch:
            tarball, facts = fetch(scratch)
            (folder / "pin.json").write_text(json.dumps(facts))
            unpack(tarball, facts)

    def unpack(tarball: Path, facts: dict[str, str]) -> Path:
        say(f"unpacking {package} {facts['version']}")

        def build(folder: Path) -> None:
            debian.unpack_tarball(tarball, folder)

        return store.get_or_build("source", f"{package}-{facts['version']}", facts, build)

    newest = store.get("pin", package, {"package": package})
    if newest and version == json.loads((newest / "pin.json").read_text())["version"]:
        pinned = newest
    else:
        pinned = store.get_or_build("pin", wanted, {"package": wanted}, pin)
    identity: dict[str, str] = json.loads((pinned / "pin.json").read_text())

    def tree() -> Path:
        label = f"{package}-{identity['version']}"
        if found := store.get("source", label, identity):
            return found
        with store.scratch() as scratch:
            tarball, facts = fetch(scratch)
            if facts != identity:
                raise ModcompatError(
                    f"the cache holds kernels of {label}, but Debian now has {facts['version']}",
                    next_step="`modcompat cache prune --all --kind pin` switches to the newer one",
                )
            return unpack(tarball, facts)

    return KernelSource(identity["version"].split("-")[0], identity, tree)


def _require_plain(folder: Path) -> None:
    """Raise ModcompatError if the kernel's Makefile would refuse a folder, to build in or from."""
    if {" ", ":"} & set(str(folder)):
        raise ModcompatError(
            f"{str(folder)!r}: kernels cannot be built in a folder with a space or a colon in its path",
            next_step="rename the folder; MODCOMPAT_CACHE names another one for the cache",
        )


def require_tree(folder: Path) -> None:
    """Raise ModcompatError if a folder is not a kernel source tree, or if a kernel was built in it."""
    _require_plain(folder)
    if not (folder / "Kbuild").is_file() or not (folder / "scripts/kconfig/Makefile").is_file():
        raise ModcompatError(
            f"{folder} is not a kernel source tree",
            next_step="give the top folder of one, or a name like linux-source-6.1",
        )
    if (folder / ".config").exists() or (folder / "include/config").exists():
        raise ModcompatError(
            f"{folder} has been configured or built in place, which breaks builds in other folders",
            next_step=f"`make -C {folder} mrproper` (keep your .config), or give a clean copy",
        )


def _folder_source(folder: Path, store: Store) -> KernelSource:
    folder = folder.absolute()
    require_tree(folder)

    def read(entry: Path) -> None:
        say(f"reading {folder}")
        (entry / "digest").write_text(digest.of_tree(folder))

    # Reading everything takes long, so a tree with the same names, sizes and times is not read again.
    stat = digest.of_stat(folder)
    known = store.get_or_build("tree", folder.name, {"folder": str(folder), "stat": stat}, read)
    history = folder if (folder / ".git").exists() else None
    return KernelSource(
        folder.name, {"folder": (known / "digest").read_text()}, lambda: folder, stat=stat, history=history
    )


def require_unchanged(source: KernelSource) -> None:
    """Raise ModcompatError if a user's folder is another one than when its identity was taken.

    What was made of it meanwhile must not be kept as what the identity stands for.
    """
    if source.stat and digest.of_stat(source.tree()) != source.stat:
        raise ModcompatError(
            f"{source.tree()} was changed while it was in use",
            next_step="run the command again, which reads it anew",
        )
