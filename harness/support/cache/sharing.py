# SPDX-License-Identifier: Apache-2.0
"""What the cache does with its remote: asks it before it builds, and sends what it has built.

The remote never makes a build fail: without it, the cache is as it was before there was one.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any

from harness.support.cache.packed_entry import RefusedError, has_links, pack, unpack
from harness.support.cache.remote import Remote, RemoteError
from harness.support.errors import ModcompatError
from harness.support.patience import Report
from harness.support.progress import say, task_if_long
from harness.support.text import one_line

URL_VARIABLE = "MODCOMPAT_CACHE_REMOTE"
READ_ONLY_VARIABLE = "MODCOMPAT_CACHE_REMOTE_READONLY"
# Kinds that stay on their machine, and why
KEPT = {
    "code": "a module is read faster than its facts are fetched",
    "initramfs": "it is packed faster than it is fetched",
    "modules": "it is an index of a folder of this machine",
    "prebuilt": "it has links to files of this machine",
    "probe": "it is about this machine",
    "shipped": "it is what Debian has now, or packages that you have, and its files are verified by their sizes alone",
    "snapshot": "it depends on this machine's QEMU",
    "source": "its files are verified by their sizes alone, and Debian has it",
    "tree": "it is about a folder of this machine",
    "userland": "it is a copy of a folder or an image that you have",
}
# Kinds whose content changes under the same name: sent and fetched only when somebody asks for it.
PINS = frozenset({"pin"})
MB = 10**6
_MOST_REFUSED = 3  # entries, after which the remote is not asked any more


class Sharing:
    """The remote of the cache, in one process, which says once why it goes on without it."""

    def __init__(self, remote: Remote, *, read_only: bool) -> None:
        self.remote = remote
        self.read_only = read_only
        self._reads = True
        self._writes = not read_only
        self._refused = set[str]()

    def size(self, entry: str) -> int | None:
        """The bytes of a packed entry, <kind>/<name>, in the remote; None if it has to be built."""
        if not self._reads or not _is_shared(entry):
            return None
        try:
            return self.remote.size(entry)
        except RemoteError as error:
            self._give_up(str(error))
        except RefusedError as error:
            self._refuse(entry, error)
        return None

    def fetch(self, entry: str, size: int, inputs: Mapping[str, Any], scratch: Path) -> Path | None:
        """Fetch an entry into a private folder, and verify it. None if it has to be built."""
        try:
            with task_if_long(f"fetching {entry}", size // MB, "MB") as shown:
                return fetch(
                    self.remote, entry, size, scratch, lambda done: shown.advance_to(done // MB), inputs=inputs
                )
        except RemoteError as error:
            self._give_up(str(error))
        except RefusedError as error:
            self._refuse(entry, error)
        except OSError as error:  # of the cache's disk: the build will say so if it meets the same
            self._say(f"{entry} cannot be unpacked: {error.strerror}; it is built here")
        return None

    def send(self, path: Path, scratch: Callable[[], AbstractContextManager[Path]]) -> None:
        """Send an entry that was just built, unless the remote has it."""
        entry = f"{path.parent.name}/{path.name}"
        if not self._writes or not _is_shared(entry):
            return
        try:
            if self._lacks(entry) and not has_links(path):
                with scratch() as folder:
                    send(self.remote, path, folder)
        except (RemoteError, OSError, ModcompatError) as error:
            self._writes = False
            self._say(f"{one_line(str(error))}; nothing more is sent to it")

    def _lacks(self, entry: str) -> bool:
        """Whether the remote has no such entry, or a damaged one."""
        try:
            return entry in self._refused or self.remote.size(entry) is None
        except RefusedError:
            return True

    def _refuse(self, entry: str, error: RefusedError) -> None:
        self._refused.add(entry)
        if len(self._refused) < _MOST_REFUSED:
            self._say(f"{entry} is refused: {error}; it is built here")
        else:
            self._give_up(f"{entry} is refused: {error}; so were {len(self._refused) - 1} others")

    def _give_up(self, why: str) -> None:
        self._reads = self._writes = False
        self._say(f"{why}; going on without it")

    def _say(self, text: str) -> None:
        say(f"remote cache {self.remote.title}: {text}")


def fetch(
    remote: Remote,
    entry: str,
    size: int,
    scratch: Path,
    on_bytes: Report = lambda _: None,
    *,
    inputs: Mapping[str, Any] | None = None,
) -> Path:
    """Fetch an entry of so many packed bytes into a private folder, and verify it. Returns its folder there.

    Raises RemoteError, RefusedError for an entry that is damaged or another one, and OSError.
    """
    packed, folder = scratch / "packed", scratch / entry
    try:
        remote.fetch(entry, size, packed, on_bytes)
        unpack(packed, folder, inputs)
    finally:
        packed.unlink(missing_ok=True)
    return folder


def send(remote: Remote, path: Path, scratch: Path) -> None:
    """Pack an entry without links in a private folder, and send it. Raises RemoteError, OSError."""
    entry, packed = f"{path.parent.name}/{path.name}", scratch / "packed"
    try:
        pack(path, packed)
        with task_if_long(f"sending {entry}", packed.stat().st_size // MB, "MB") as shown:
            remote.put(entry, packed, lambda done: shown.advance_to(done // MB))
    finally:
        packed.unlink(missing_ok=True)


def configured() -> Sharing | None:
    """The remote that the environment names, the same for the whole process. Raises ModcompatError for a wrong one."""
    url = os.environ.get(URL_VARIABLE)
    return _sharing(url, _is_read_only()) if url else None


@cache
def _sharing(url: str, read_only: bool) -> Sharing:  # noqa: FBT001 - a key of the cache
    return Sharing(Remote(url), read_only=read_only)


def _is_read_only() -> bool:
    value = os.environ.get(READ_ONLY_VARIABLE, "")
    if value not in ("", "0", "1"):
        raise ModcompatError(f"{READ_ONLY_VARIABLE} is {value!r}, and not 0 or 1")
    return value == "1"


def _is_shared(entry: str) -> bool:
    """Whether entries of this kind are fetched and sent without being asked for."""
    kind = entry.split("/", 1)[0]
    return kind not in KEPT and kind not in PINS


def forget() -> None:
    """Forget what was found out about remotes, for tests."""
    _sharing.cache_clear()
