# SPDX-License-Identifier: Apache-2.0
"""Packed entries in a repository of an OCI registry.

A blob is sent before the manifest that names it, and a registry replaces a tag at once: a reader gets the whole old
entry or the whole new one, whoever writes at the same time.
"""

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urljoin

from harness.support.cache.packed_entry import RefusedError
from harness.support.cache.registry import oci_format
from harness.support.cache.registry.access import RegistryAccess
from harness.support.cache.registry.connection import Body, Connection, RegistryError, content, pieces
from harness.support.cache.registry.oci_format import Blob, Repository
from harness.support.patience import Report

_TAGS_OF_A_PAGE = 1000
_MAX_TAGS = 1_000_000


class RegistryEntries:
    """Packed entries. Methods raise RegistryError, ModcompatError, and RefusedError for a damaged entry."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._access = RegistryAccess(repository)

    def entries(self) -> list[str]:
        with closing(Connection()) as connection:
            found = [self._entry_of(connection, tag) for tag in self._tags(connection)]
        return [entry for entry in found if entry is not None]

    def size(self, entry: str) -> int | None:
        with closing(Connection()) as connection:
            blob = self._blob_of(connection, entry)
        return None if blob is None else blob.size

    def fetch(self, entry: str, target: Path, on_bytes: Report) -> None:
        with closing(Connection()) as connection:
            if (blob := self._blob_of(connection, entry)) is None:
                raise RefusedError("it is not there any more")
            answer = self._access.send(connection, "GET", self._url("blobs", blob.digest), (200, 404))
            if answer.status_code == 404:
                raise RefusedError("its blob is not there")
            moved, digest = 0, hashlib.sha256()
            with target.open("xb") as file:
                for piece in pieces(answer):
                    moved += len(piece)
                    if moved > blob.size:
                        break
                    digest.update(piece)
                    file.write(piece)
                    on_bytes(moved)
        if moved != blob.size or f"sha256:{digest.hexdigest()}" != blob.digest:
            raise RefusedError("it is damaged: it is not as its digest says")

    def put(self, entry: str, source: Path, on_bytes: Report) -> None:
        with closing(Connection()) as connection, source.open("rb") as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            size = file.seek(0, 2)
            file.seek(0)
            self._send(connection, oci_format.digest_of(oci_format.EMPTY), oci_format.EMPTY)
            self._send(connection, digest, Body(file, size, on_bytes))
            self._access.send(
                connection,
                "PUT",
                self._url("manifests", oci_format.tag_of(entry)),
                (201,),
                data=oci_format.manifest_of(Blob(entry, digest, size)),
                headers={"Content-Type": oci_format.MANIFEST_TYPE},
            )

    def _send(self, connection: Connection, digest: str, data: bytes | Body) -> None:
        """Send a blob, unless it is there."""
        there = self._access.send(connection, "HEAD", self._url("blobs", digest), (200, 404))
        if there.status_code == 200:
            return
        begun = self._access.send(connection, "POST", self._url("blobs", "uploads/"), (202,))
        content(begun)
        url = urljoin(begun.url, begun.headers.get("Location", ""))
        url += f"{'&' if '?' in url else '?'}digest={digest}"
        headers = {"Content-Type": "application/octet-stream"}
        content(self._access.send(connection, "PUT", url, (201,), data=data, headers=headers))

    def _blob_of(self, connection: Connection, entry: str) -> Blob | None:
        """The blob of an entry; None if there is none. Raises RefusedError for what is not that entry."""
        blob = self._blob_at(connection, oci_format.tag_of(entry))
        if blob is not None and blob.entry != entry:
            raise RefusedError("its manifest is that of another entry")
        return blob

    def _blob_at(self, connection: Connection, tag: str) -> Blob | None:
        headers = {"Accept": oci_format.MANIFEST_TYPE}
        answer = self._access.send(connection, "GET", self._url("manifests", tag), (200, 404), headers=headers)
        data = content(answer)
        return None if answer.status_code == 404 else oci_format.blob_in(data)

    def _tags(self, connection: Connection) -> Iterator[str]:
        url, count = self._url("tags", f"list?n={_TAGS_OF_A_PAGE}"), 0
        while url:
            answer = self._access.send(connection, "GET", url, (200, 404))
            tags = [] if answer.status_code == 404 else oci_format.tags_in(content(answer))
            if tags is None:
                raise RegistryError("it does not answer like a registry")
            yield from tags
            count += len(tags)
            if count > _MAX_TAGS:
                raise RegistryError(f"it has more than {_MAX_TAGS} tags")
            following = answer.links.get("next", {}).get("url")
            url = urljoin(url, following) if tags and following else ""

    def _entry_of(self, connection: Connection, tag: str) -> str | None:
        """The entry at a tag; None if it is of something else."""
        if not oci_format.is_of_digest(tag):
            return oci_format.entry_of(tag)
        try:
            blob = self._blob_at(connection, tag)
        except RefusedError:
            return None
        return blob.entry if blob and oci_format.tag_of(blob.entry) == tag else None

    def _url(self, what: str, name: str) -> str:
        return f"{self._repository.origin}/v2/{self._repository.path}/{what}/{name}"
