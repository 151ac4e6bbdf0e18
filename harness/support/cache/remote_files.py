# SPDX-License-Identifier: Apache-2.0
"""A remote in a folder, at any location that fsspec knows: the files `<kind>/<name>.tar.zst`.

A reader sees a whole object or none: an object store replaces an object at once, and elsewhere the object is written
beside its place and renamed. fsspec's transactions are of no use for that: those of `file` go through the folder for
temporary files, from where shutil.move() copies if it is on another disk.
"""

import secrets
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.support.cache.packed_entry import SUFFIX
from harness.support.patience import Report

_S3_PART_BYTES = 5 << 20  # the least that S3 takes, so that there is progress to see
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


class RemoteFiles:
    """Packed entries in a folder. Methods raise the exceptions of fsspec and of the file system."""

    def __init__(self, url: str) -> None:
        self._scheme = url.split(":", 1)[0]
        options = _OPTIONS.get(self._scheme, {})
        self._files, root = import_module("fsspec.core").url_to_fs(url, skip_instance_cache=True, **options)
        self._root = root.rstrip("/")
        if getattr(self._files, "async_impl", False):
            # asyncio would print the exceptions of requests that nobody waits for any more.
            import_module("fsspec.asyn").get_loop().set_exception_handler(lambda *_: None)

    def entries(self) -> list[str]:
        paths = []
        with suppress(FileNotFoundError):
            # Without it, a folder that may not be read is as one that is empty.
            options = {"on_error": _raise_unless_gone} if self._scheme == "file" else {}
            paths = self._files.find(self._root, **options)
        names = ["/".join(path.split("/")[-2:]).removesuffix(SUFFIX) for path in paths]
        return [name for name, path in zip(names, paths, strict=True) if path == self._path(name)]

    def size(self, entry: str) -> int | None:
        with suppress(FileNotFoundError):
            facts = self._files.info(self._path(entry))
            return int(facts["size"]) if facts["type"] == "file" else None
        return None

    def fetch(self, entry: str, target: Path, on_bytes: Report) -> None:
        options = _GET_OPTIONS.get(self._scheme, {})
        self._files.get_file(self._path(entry), str(target), callback=_callback(on_bytes), **options)

    def put(self, entry: str, source: Path, on_bytes: Report) -> None:
        target = self._path(entry)
        callback = _callback(on_bytes)
        if self._scheme in _ATOMIC:
            self._files.put_file(str(source), target, callback=callback, **_PUT_OPTIONS.get(self._scheme, {}))
            return
        folder, _, file = target.rpartition("/")
        beside = f"{folder}/.{file}.{secrets.token_hex(4)}.partial"
        self._files.makedirs(folder, exist_ok=True)
        try:
            self._files.put_file(str(source), beside, callback=callback)
            self._files.mv(beside, target)
        except BaseException:
            with suppress(Exception):
                self._files.rm_file(beside)
            raise

    def _path(self, entry: str) -> str:
        return f"{self._root}/{entry}{SUFFIX}"


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _callback(on_bytes: Report) -> Any:
    return import_module("fsspec.callbacks").Callback(hooks={"data": lambda _, moved, **__: on_bytes(moved)})
