# SPDX-License-Identifier: Apache-2.0
"""A remote: a folder of packed entries at any location that fsspec knows, shared by several machines.

It holds `<kind>/<name>.tar.zst`. A reader sees a whole object or none: an object store replaces an object at once, and
elsewhere the object is written beside its place and renamed. fsspec's transactions are of no use for that: those of
`file` go through the folder for temporary files, from where shutil.move() copies if it is on another disk.
"""

import importlib.util
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from harness.support.cache.ownership import ENTRY, KINDS
from harness.support.cache.packed_entry import SUFFIX
from harness.support.errors import ModcompatError
from harness.support.patience import Patience, Report
from harness.support.text import one_line

EXAMPLES = "for example file:///srv/modcompat or s3://bucket/prefix"
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)
_SECRETS = re.compile(r"[^/]*@|\?.*", re.DOTALL)
_S3_PART_BYTES = 5 << 20  # the least that S3 takes, so that there is progress to see
_MAX_GROWTH_BYTES = 1 << 20
_MAX_WHY_CHARS = 200
_EXTRA = "pip install 'modcompat[remote]'"
_PACKAGES_OF_EXTRA = {"fsspec", "s3fs"}
# Object stores: a put is atomic (S3: "Amazon S3 never adds partial objects"), and a rename is a copy.
_ATOMIC = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"})
_S3_OPTIONS = {
    # Listings are not cached: other machines write, too.
    "use_listings_cache": False,
    # Patience ends what takes too long: a slow upload is silent for longer than the 15 s of s3fs.
    "config_kwargs": {"connect_timeout": 5, "read_timeout": 60, "retries": {"max_attempts": 1}},
}
# URL scheme -> options for fsspec
_OPTIONS: Mapping[str, Mapping[str, Any]] = {"s3": _S3_OPTIONS, "s3a": _S3_OPTIONS}
_S3_PUT = {"chunksize": _S3_PART_BYTES}
_PUT_OPTIONS: Mapping[str, Mapping[str, Any]] = {"s3": _S3_PUT, "s3a": _S3_PUT}
# One request for each object, so that all its bytes are of the same one
_GET_OPTIONS: Mapping[str, Mapping[str, Any]] = {"s3": {"max_concurrency": 1}, "s3a": {"max_concurrency": 1}}


class RemoteError(Exception):
    """A remote that cannot be used. Its text is the reason, in one line."""


class Remote:
    """Packed entries at a location. Methods raise RemoteError."""

    def __init__(self, url: str, patience: Patience | None = None) -> None:
        """Prepare the use of a location, without a connection. Raises ModcompatError for one that cannot be."""
        self._url = url
        self._patience = patience or Patience()
        found = _URL.fullmatch(url)
        if not found:
            raise ModcompatError(f"{_without_password(url)!r} is not the URL of a remote cache", next_step=EXAMPLES)
        self._scheme, path = found.groups()
        self.title = _without_password(url)
        _require_known(self._scheme)
        if not path.strip("/") or (self._scheme in ("file", "local") and not path.startswith("/")):
            raise ModcompatError(f"{self.title} does not name a folder", next_step=EXAMPLES)

    def sizes(self) -> dict[str, int]:
        """Every packed entry, <kind>/<name>, with its size in bytes."""

        def work(_: Report) -> Any:
            with suppress(FileNotFoundError):
                return self._files.find(self._root, detail=True)
            return {}

        found = {}
        for path, facts in self._call("cannot list it", work).items():
            *_, kind, file = path.split("/")
            name = file.removesuffix(SUFFIX)
            if path == self._path(f"{kind}/{name}") and kind in KINDS and ENTRY.fullmatch(name):
                found[f"{kind}/{name}"] = int(facts["size"])
        return found

    def size(self, entry: str) -> int | None:
        """The size in bytes of a packed entry, <kind>/<name>; None if there is none."""

        def work(_: Report) -> int | None:
            with suppress(FileNotFoundError):
                facts = self._files.info(self._path(entry))
                return int(facts["size"]) if facts["type"] == "file" else None
            return None

        found: int | None = self._call("cannot read from it", work)
        return found

    def fetch(self, entry: str, size: int, target: Path, on_bytes: Report) -> None:
        """Copy a packed entry of about so many bytes into a new file: it may be replaced at any time."""

        def work(report: Report) -> None:
            def on_data(_: int | None, moved: int, **__: object) -> None:
                if moved > 2 * size + _MAX_GROWTH_BYTES:
                    raise RemoteError(f"{entry} has more data than its size says")
                report(moved)

            options = _GET_OPTIONS.get(self._scheme, {})
            self._files.get_file(self._path(entry), str(target), callback=self._callback(on_data), **options)

        self._call("cannot read from it", work, size, on_bytes)

    def put(self, entry: str, source: Path, on_bytes: Report) -> None:
        """Write a packed entry."""
        size = source.stat().st_size

        def work(report: Report) -> None:
            target = self._path(entry)
            folder, _, file = target.rpartition("/")
            callback = self._callback(lambda _, moved, **__: report(moved))
            if self._scheme in _ATOMIC:
                options = _PUT_OPTIONS.get(self._scheme, {})
                self._files.put_file(str(source), target, callback=callback, **options)
                return
            beside = f"{folder}/.{file}.{secrets.token_hex(4)}.partial"
            self._files.makedirs(folder, exist_ok=True)
            try:
                self._files.put_file(str(source), beside, callback=callback)
                self._files.mv(beside, target)
            except BaseException:
                with suppress(Exception):
                    self._files.rm_file(beside)
                raise

        self._call("cannot write to it", work, size, on_bytes)

    def _path(self, entry: str) -> str:
        return f"{self._root}/{entry}{SUFFIX}"

    @cached_property
    def _location(self) -> tuple[Any, str]:
        """The file system and the path of the folder in it."""
        options = _OPTIONS.get(self._scheme, {})
        try:
            files, root = import_module("fsspec.core").url_to_fs(self._url, skip_instance_cache=True, **options)
        except Exception as error:  # noqa: BLE001 - each file system has exceptions of its own
            raise RemoteError(_why(error)) from None
        if getattr(files, "async_impl", False):
            # asyncio would print the exceptions of requests that nobody waits for any more.
            import_module("fsspec.asyn").get_loop().set_exception_handler(lambda *_: None)
        return files, root.rstrip("/")

    @property
    def _files(self) -> Any:
        return self._location[0]

    @property
    def _root(self) -> str:
        return self._location[1]

    def _callback(self, on_data: Any) -> Any:
        return import_module("fsspec.callbacks").Callback(hooks={"data": on_data})

    def _call(self, what: str, work: Any, size: int = 0, on_bytes: Report = lambda _: None) -> Any:
        _ = self._location  # imports take a while, and no limit holds for them
        try:
            return self._patience.call(work, size=size, on_bytes=on_bytes)
        except Exception as error:  # noqa: BLE001 - each file system has exceptions of its own
            raise RemoteError(f"{what}: {_why(error)}") from None


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
