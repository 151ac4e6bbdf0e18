# SPDX-License-Identifier: Apache-2.0
"""A remote: packed entries that several machines share, in a folder or in a repository of an OCI registry."""

import importlib.util
import re
from collections.abc import Callable
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import NoReturn, Protocol, TypeVar

from harness.support.cache.ownership import ENTRY, KINDS
from harness.support.cache.packed_entry import RefusedError
from harness.support.cache.registry.entries import RegistryEntries
from harness.support.cache.registry.oci_format import SCHEMES, repository_at
from harness.support.cache.remote_files import RemoteFiles
from harness.support.errors import ModcompatError
from harness.support.patience import Patience, Report
from harness.support.text import one_line

EXAMPLES = "for example file:///srv/modcompat, s3://bucket/prefix or oci://registry.example/modcompat"
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)
_SECRETS = re.compile(r"[^/]*@|\?.*", re.DOTALL)
_MAX_GROWTH_BYTES = 1 << 20
_MAX_WHY_CHARS = 200
_EXTRA = "pip install 'modcompat[remote]'"
_PACKAGES_OF_EXTRA = {"fsspec", "requests", "s3fs"}
Result = TypeVar("Result")


class RemoteError(Exception):
    """A remote that cannot be used. Its text is the reason, in one line."""


class Location(Protocol):
    """Packed entries, <kind>/<name>, in a certain kind of place. Methods may take for ever, and raise any exception."""

    def entries(self) -> list[str]:
        """The entries. Names of other things may be among them."""

    def size(self, entry: str) -> int | None:
        """The size in bytes of a packed entry; None if there is none."""

    def fetch(self, entry: str, target: Path, on_bytes: Report) -> None:
        """Copy a packed entry into a new file. An exception of on_bytes ends that."""

    def put(self, entry: str, source: Path, on_bytes: Report) -> None:
        """Write a packed entry. A reader gets the whole old one or the whole new one."""


class Remote:
    """Packed entries at a location. Methods raise RemoteError, and RefusedError for a damaged entry."""

    def __init__(self, url: str, patience: Patience | None = None) -> None:
        """Prepare the use of a location, without a connection. Raises ModcompatError for one that cannot be."""
        self._patience = patience or Patience()
        self._open = _opener(url)
        self.title = _without_password(url)

    def entries(self) -> set[str]:
        """Every packed entry, <kind>/<name>."""
        names = self._call("cannot list it", lambda _: self._location.entries())
        parts = (name.split("/") for name in names)
        return {f"{kind}/{name}" for kind, name in parts if kind in KINDS and ENTRY.fullmatch(name)}

    def size(self, entry: str) -> int | None:
        """The size in bytes of a packed entry, <kind>/<name>; None if there is none."""
        return self._call("cannot read from it", lambda _: self._location.size(entry))

    def fetch(self, entry: str, size: int, target: Path, on_bytes: Report) -> None:
        """Copy a packed entry of about so many bytes into a new file: it may be replaced at any time."""

        def work(report: Report) -> None:
            def on_data(moved: int) -> None:
                if moved > 2 * size + _MAX_GROWTH_BYTES:
                    raise RemoteError(f"{entry} has more data than its size says")
                report(moved)

            self._location.fetch(entry, target, on_data)

        self._call("cannot read from it", work, size, on_bytes)

    def put(self, entry: str, source: Path, on_bytes: Report) -> None:
        """Write a packed entry."""
        size = source.stat().st_size
        self._call("cannot write to it", lambda report: self._location.put(entry, source, report), size, on_bytes)

    @cached_property
    def _location(self) -> Location:
        try:
            return self._open()
        except Exception as error:  # noqa: BLE001 - each file system has exceptions of its own
            raise RemoteError(_why(error)) from None

    def _call(
        self, what: str, work: Callable[[Report], Result], size: int = 0, on_bytes: Report = lambda _: None
    ) -> Result:
        _ = self._location  # imports take a while, and no limit holds for them
        try:
            return self._patience.call(work, size=size, on_bytes=on_bytes)
        except RefusedError:
            raise
        except Exception as error:  # noqa: BLE001 - each file system has exceptions of its own
            raise RemoteError(f"{what}: {_why(error)}") from None


def _opener(url: str) -> Callable[[], Location]:
    """How to open a location. Raises ModcompatError for a wrong URL, and if a package is missing."""
    found = _URL.fullmatch(url)
    title = _without_password(url)
    if not found:
        raise ModcompatError(f"{title!r} is not the URL of a remote cache", next_step=EXAMPLES)
    scheme, path = found.groups()
    if scheme in SCHEMES:
        repository = repository_at(scheme, path)
        if repository is None:
            raise ModcompatError(
                f"{title} does not name a repository of a registry",
                next_step=f"{scheme}://HOST[:PORT]/REPOSITORY, in lower case and without a tag or a user",
            )
        if importlib.util.find_spec("requests") is None:
            _miss("requests", scheme)
        return partial(RegistryEntries, repository)
    _require_known(scheme)
    if not path.strip("/") or (scheme in ("file", "local") and not path.startswith("/")):
        raise ModcompatError(f"{title} does not name a folder", next_step=EXAMPLES)
    return partial(RemoteFiles, url)


def _require_known(scheme: str) -> None:
    """Raise ModcompatError unless there is a package for this kind of URL. Imports fsspec alone."""
    try:
        registry = import_module("fsspec.registry")
    except ImportError:
        _miss("fsspec", scheme)
    if scheme in registry.registry:
        return
    if scheme not in registry.known_implementations:
        raise ModcompatError(f"a remote cache cannot be at {scheme}://", next_step=EXAMPLES)
    package = re.split(r"[.:]", registry.known_implementations[scheme]["class"])[0]
    if importlib.util.find_spec(package) is None:
        _miss(package, scheme)


def _miss(package: str, scheme: str) -> NoReturn:
    raise ModcompatError(
        f"a remote cache at {scheme}:// needs the Python package {package}, which is not installed",
        next_step=_EXTRA if package in _PACKAGES_OF_EXTRA else f"pip install {package}",
    )


def _without_password(url: str) -> str:
    """The URL for people, without what may be a secret: the user and the query."""
    return _SECRETS.sub("", url)


def _why(error: Exception) -> str:
    """The reason in one line, of an exception of any library."""
    known = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return one_line(known)[:_MAX_WHY_CHARS] or type(error).__name__
