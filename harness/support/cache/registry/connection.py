# SPDX-License-Identifier: Apache-2.0
"""HTTP requests to a registry. An error is the reason in one line."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import IO, Any

from harness.support.patience import Report

_MAX_ANSWER_BYTES = 4 << 20  # a registry need not take a larger manifest (distribution-spec 1.1, "Pushing Manifests")
_PIECE_BYTES = 1 << 20
_LIMITS = (5.0, 60.0)  # seconds to connect, and from one piece of data to the next; Patience is shorter


class RegistryError(Exception):
    """A registry that cannot be used. Its text is the reason."""


class Body:
    """A file to send, which reports how many of its bytes were read."""

    def __init__(self, file: IO[bytes], size: int, on_bytes: Report) -> None:
        self._file = file
        self._size = size
        self._on_bytes = on_bytes

    def __len__(self) -> int:
        return self._size

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._on_bytes(self._file.tell())
        return data


class Connection:
    """Connections to one or more servers, for one transfer. Methods raise RegistryError.

    It is not kept between transfers: one that was idle for minutes may be dead, and nobody says so.
    """

    def __init__(self) -> None:
        self._session = import_module("requests").Session()
        self._session.headers["Accept-Encoding"] = "identity"  # digests are those of the bytes as they are
        self._session.auth = lambda request: request  # or else requests would use ~/.netrc

    def send(self, method: str, url: str, headers: Mapping[str, str], data: bytes | Body | None = None) -> Any:
        """The answer to a request, an object of the package requests. Its content is not read yet."""
        with _explained():
            return self._session.request(method, url, data=data, headers=headers, stream=True, timeout=_LIMITS)

    def close(self) -> None:
        self._session.close()


def pieces(answer: Any) -> Iterator[bytes]:
    """The content of an answer. Raises RegistryError."""
    with _explained():
        yield from answer.iter_content(_PIECE_BYTES)


def content(answer: Any) -> bytes:
    """The content of an answer that is not large. Raises RegistryError."""
    data = b""
    for piece in pieces(answer):
        data += piece
        if len(data) > _MAX_ANSWER_BYTES:
            raise RegistryError(f"an answer has more than {_MAX_ANSWER_BYTES >> 20} MiB")
    return data


def complaint(answer: Any) -> str:
    """What an answer says that is an error (distribution-spec 1.1, "Error Codes")."""
    text = f"HTTP {answer.status_code} {answer.reason}"
    with suppress(RegistryError, ValueError, RecursionError, LookupError, TypeError):
        text += f": {json.loads(content(answer))['errors'][0]['message']}"
    return text


@contextmanager
def _explained() -> Iterator[None]:
    """Raise an exception of the package requests as a RegistryError with the reason below it."""
    try:
        yield
    except import_module("requests").RequestException as error:
        reason: BaseException = error
        while below := reason.__cause__ or reason.__context__:
            reason = below
        if getattr(reason, "reason", None) == "WRONG_VERSION_NUMBER":
            raise RegistryError("it does not speak TLS: such a URL begins with oci+http://") from None
        known = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
        raise RegistryError(known or type(reason).__name__) from None
