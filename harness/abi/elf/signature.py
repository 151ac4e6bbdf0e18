# SPDX-License-Identifier: Apache-2.0
"""The signature at the end of a module file.

From include/linux/module_signature.h and Documentation/admin-guide/module-signing.rst.
"""

import struct
from dataclasses import dataclass

MAGIC = b"~Module signature appended~\n"
_TRAILER = struct.Struct(">5B3xI")  # algorithm, hash, id type, lengths of signer and key id; bytes of the signature
_PKCS7 = 2  # enum pkey_id_type
_COMMON_NAME = bytes.fromhex("0603550403")  # DER of the object identifier 2.5.4.3
# DER of the digests' object identifiers (RFC 8017, appendix B.1; RFC 9688)
_DIGESTS = {
    bytes.fromhex("06052b0e03021a"): "sha1",
    bytes.fromhex("0609608648016503040201"): "sha256",
    bytes.fromhex("0609608648016503040202"): "sha384",
    bytes.fromhex("0609608648016503040203"): "sha512",
    bytes.fromhex("0609608648016503040204"): "sha224",
    bytes.fromhex("0609608648016503040208"): "sha3-256",
    bytes.fromhex("0609608648016503040209"): "sha3-384",
    bytes.fromhex("060960864801650304020a"): "sha3-512",
}


@dataclass(frozen=True)
class Signature:
    """A signature as its PKCS#7 message describes it. It is not verified."""

    signer: str  # "unknown" if the message does not name it
    digest: str  # the hash algorithm, as the kernel calls it, or "unknown"
    size: int  # bytes


def split_signature(content: bytes) -> tuple[bytes, Signature | None]:
    """A module file without its signature, and the signature. Raises ValueError if the signature is broken."""
    if not content.endswith(MAGIC):
        return content, None
    end = len(content) - len(MAGIC) - _TRAILER.size
    if end < 0:
        raise ValueError("its signature is cut off")
    *_, kind, _, _, size = _TRAILER.unpack_from(content, end)
    if size > end:
        raise ValueError(f"its signature claims {size} bytes, more than the file has")
    message = content[end - size : end]
    known = [(message.find(oid), name) for oid, name in _DIGESTS.items() if oid in message]
    digest = min(known)[1] if kind == _PKCS7 and known else "unknown"
    return content[: end - size], Signature(_common_name(message), digest, size)


def _common_name(message: bytes) -> str:
    """The first common name in a DER message: the signer's issuer, as the kernel's sign-file writes it."""
    at = message.find(_COMMON_NAME)
    if at < 0 or len(message) < at + len(_COMMON_NAME) + 2:
        return "unknown"
    start = at + len(_COMMON_NAME) + 2  # after the string's tag and its length, one byte each
    return message[start : start + message[start - 1]].decode(errors="backslashreplace")
