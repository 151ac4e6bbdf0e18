# SPDX-License-Identifier: Apache-2.0
"""How entries lie in a repository of a registry: an entry is a tag, a tag names a manifest, and that names one blob.

The formats are those of https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md and
https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from harness.support.cache.packed_entry import SUFFIX, RefusedError

# URL scheme -> that of the registry's API
SCHEMES = {"oci": "https", "oci+http": "http"}
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
EMPTY = b"{}"  # the configuration in every manifest
_ENTRY_TYPE = "application/vnd.modcompat.entry.v1"
_LAYER_TYPE = "application/vnd.modcompat.entry.v1.tar+zstd"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_TITLE = "org.opencontainers.image.title"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PLACE = re.compile(rf"({_HOST})/({_COMPONENT}(?:/{_COMPONENT})*)/?")
_API_HOSTS = {"docker.io": "registry-1.docker.io"}  # the name for people -> the host of the API

_MAX_TAG_CHARS = 128
# A character of a name that a tag cannot have, or that would make what stands for one
_FOREIGN = re.compile(r"[^A-Za-z0-9_.-]|(?<=-)_")
_REPLACED = re.compile(r"-_([0-9a-f]{2})")
_DIGEST_TAG = re.compile(r"[a-z]+\.\.[0-9a-f]{64}")


@dataclass(frozen=True)
class Repository:
    """A repository of a registry."""

    # scheme, host and port of the API
    origin: str
    # host[:port] as the user wrote it
    registry: str
    # path in the registry
    path: str


@dataclass(frozen=True)
class Blob:
    """A packed entry in a repository."""

    # <kind>/<name>
    entry: str
    # sha256:<64 hexadecimal digits>
    digest: str
    # bytes
    size: int


def repository_at(scheme: str, place: str) -> Repository | None:
    """The repository that the parts of a URL name; None if they name none."""
    if not (found := _PLACE.fullmatch(place)):
        return None
    registry, path = found.groups()
    return Repository(f"{SCHEMES[scheme]}://{_API_HOSTS.get(registry, registry)}", registry, path)


def tag_of(entry: str) -> str:
    """The tag of an entry: its name, with -_XX for other characters, or the name's digest if that is too long."""
    kind, name = entry.split("/")
    tag = f"{kind}.{_FOREIGN.sub(lambda found: f'-_{ord(found[0]):02x}', name)}"
    return tag if len(tag) <= _MAX_TAG_CHARS else f"{kind}..{hashlib.sha256(name.encode()).hexdigest()}"


def entry_of(tag: str) -> str | None:
    """The entry with this tag; None for a tag of something else."""
    kind, _, name = tag.partition(".")
    entry = f"{kind}/{_REPLACED.sub(lambda found: chr(int(found[1], 16)), name)}"
    return entry if entry.count("/") == 1 and tag_of(entry) == tag else None


def is_of_digest(tag: str) -> bool:
    """Whether the name of a tag's entry is in its manifest only."""
    return _DIGEST_TAG.fullmatch(tag) is not None


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def manifest_of(blob: Blob) -> bytes:
    """The manifest of an entry."""
    title = {_TITLE: f"{blob.entry}{SUFFIX}"}
    facts = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": _ENTRY_TYPE,
        "config": {"mediaType": _EMPTY_TYPE, "digest": digest_of(EMPTY), "size": len(EMPTY)},
        "layers": [{"mediaType": _LAYER_TYPE, "digest": blob.digest, "size": blob.size, "annotations": title}],
    }
    return json.dumps(facts).encode()


def blob_in(manifest: bytes) -> Blob:
    """What the manifest of an entry names. Raises RefusedError."""
    match _json(manifest):
        case {
            "layers": [{"mediaType": str(layer), "digest": str(digest), "size": int(size), "annotations": dict(notes)}]
        }:
            entry = str(notes.get(_TITLE)).removesuffix(SUFFIX)
            if layer == _LAYER_TYPE and _DIGEST.fullmatch(digest) and size >= 0 and entry.count("/") == 1:
                return Blob(entry, digest, size)
    raise RefusedError("its manifest is damaged or of another kind")


def tags_in(page: bytes) -> list[str] | None:
    """The tags in a page of their list; None if it is none."""
    match _json(page):
        case {"tags": None}:  # there are none
            return []
        case {"tags": [*tags]} if all(isinstance(tag, str) for tag in tags):
            return tags
    return None


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
