# SPDX-License-Identifier: Apache-2.0
"""The right to use a repository of a registry: a password or a token, if the registry asks for one.

https://distribution.github.io/distribution/spec/auth/token/ and .../oauth/ describe the tokens.
"""

import json
import re
from collections.abc import Collection, Mapping
from importlib import import_module
from typing import Any
from urllib.parse import urlencode, urlsplit

from harness.support.cache.registry.connection import Body, Connection, RegistryError, complaint, content
from harness.support.cache.registry.login import Login, login_of
from harness.support.cache.registry.oci_format import Repository

_CLIENT = "modcompat"
_TOKEN = re.compile(r"[!-~]+")
_CHALLENGES = (401, 403)  # HTTP status codes


class RegistryAccess:
    """The right to use a repository. It is found out once, and renewed when it is over."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._authorization = ""

    def send(
        self,
        connection: Connection,
        method: str,
        url: str,
        good: Collection[int],
        *,
        data: bytes | Body | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The answer to a request, whose content is not read yet. Raises RegistryError, ModcompatError.

        good: HTTP status codes that are no error.
        """
        answer = connection.send(method, url, {**(headers or {}), **self._header(url)}, data)
        challenge = answer.headers.get("WWW-Authenticate")
        if challenge and answer.status_code in _CHALLENGES and not isinstance(data, Body):
            content(answer)  # the connection is used again
            login = login_of(self._repository.registry)
            self._renew(connection, challenge, login)
            answer = connection.send(method, url, {**(headers or {}), **self._header(url)}, data)
            if login is None and answer.status_code in _CHALLENGES:  # what is open to all is too little
                raise RegistryError(self._no_login())
        if answer.status_code not in good:
            raise RegistryError(complaint(answer))
        return answer

    def _header(self, url: str) -> Mapping[str, str]:
        """The header for a request. Nobody but the registry gets it."""
        is_ours = urlsplit(url)[:2] == urlsplit(self._repository.origin)[:2]
        return {"Authorization": self._authorization} if is_ours and self._authorization else {}

    def _renew(self, connection: Connection, challenge: str, login: Login | None) -> None:
        scheme, facts = challenge_in(challenge)
        if scheme == "bearer":
            self._authorization = f"Bearer {self._token(connection, facts, login)}"
        elif scheme != "basic":
            raise RegistryError("it wants a login of an unknown kind")
        elif login is None:
            raise RegistryError(self._no_login())
        else:
            self._authorization = login.basic

    def _token(self, connection: Connection, facts: Mapping[str, str], login: Login | None) -> str:
        realm = facts.get("realm", "")
        if urlsplit(realm).scheme not in ("https", urlsplit(self._repository.origin).scheme):
            raise RegistryError("its tokens are at a place without TLS")
        wanted = {"scope": facts.get("scope", f"repository:{self._repository.path}:pull")}
        if service := facts.get("service"):
            wanted["service"] = service
        if login is not None and login.is_token:
            wanted |= {"grant_type": "refresh_token", "client_id": _CLIENT, "refresh_token": login.secret}
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = connection.send("POST", realm, headers, urlencode(wanted).encode())
        else:
            url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(wanted)}"
            answer = connection.send("GET", url, {"Authorization": login.basic} if login else {})
        if answer.status_code != 200:
            raise RegistryError(f"no token: {complaint(answer)}" if login else self._no_login())
        return token_in(content(answer))

    def _no_login(self) -> str:
        return f"it wants a login: docker login {self._repository.registry}"


def challenge_in(header: str) -> tuple[str, dict[str, str]]:
    """The scheme in lower case, and the parameters, of a header WWW-Authenticate."""
    scheme, _, rest = header.strip().partition(" ")
    parameters = import_module("requests.utils").parse_dict_header(rest)
    return scheme.lower(), {name.lower(): value for name, value in parameters.items() if value}


def token_in(answer: bytes) -> str:
    """The token in the answer of a server that has tokens. Raises RegistryError."""
    try:
        facts = json.loads(answer)
    except (ValueError, RecursionError):
        facts = None
    match facts:
        case {"token": str(token)} | {"access_token": str(token)} if _TOKEN.fullmatch(token):
            return token
    raise RegistryError("no token: there is none in the answer")
