# SPDX-License-Identifier: Apache-2.0
"""The logins of `docker login`, in docker's config.json or in the program that it names.

https://docs.docker.com/reference/cli/docker/login/ describes both.
"""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.support.errors import ModcompatError
from harness.support.process import dies_with_us
from harness.support.text import decoded

_HUB = "https://index.docker.io/v1/"  # the name of Docker Hub in config.json
_TOKEN_USER = "<token>"  # stands for a user if the secret is an identity token
_NOT_FOUND = b"credentials not found"  # what a helper prints for a registry that it does not know
_HELPER_SECONDS = 10.0


@dataclass(frozen=True)
class Login:
    """A login at a registry."""

    # name of the user
    user: str
    # the user's password, or an identity token
    secret: str = field(repr=False)
    # whether it is a token, which buys other tokens
    is_token: bool = False

    @property
    def basic(self) -> str:
        """The value of the header Authorization."""
        return f"Basic {base64.b64encode(f'{self.user}:{self.secret}'.encode()).decode()}"


def login_of(registry: str) -> Login | None:
    """The login at a registry, host[:port]; None if there is none. Raises ModcompatError."""
    path = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    server = _HUB if registry == "docker.io" else registry
    try:
        helper, login = kept_in(path.read_bytes(), server)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModcompatError(f"cannot read {path}: {error.strerror}") from None
    except (TypeError, ValueError):
        raise ModcompatError(f"{path} is damaged", next_step=f"docker login {registry}") from None
    return _ask(helper, server) if helper else login


def kept_in(config: bytes, server: str) -> tuple[str, Login | None]:
    """The suffix of the program that has a server's login, or "", and the login.

    Raises TypeError and ValueError for damage.
    """
    facts = _mapping(_json(config))
    helper = _mapping(facts.get("credHelpers")).get(server) or facts.get("credsStore") or ""
    if not isinstance(helper, str):
        raise TypeError("the name of a helper is not a text")
    for name, login in _mapping(facts.get("auths")).items():
        if server in (name, _without_scheme(name)) and (auth := _mapping(login).get("auth")):
            user, _, password = base64.b64decode(auth, validate=True).decode().partition(":")
            token = str(_mapping(login).get("identitytoken") or "")
            return helper, Login(user, token or password, is_token=bool(token))
    return helper, None


def _ask(helper: str, server: str) -> Login | None:
    """The login that a credential helper has. https://github.com/docker/docker-credential-helpers has the protocol."""
    program = f"docker-credential-{helper}"
    if shutil.which(program) is None:
        raise ModcompatError(f"docker's config.json names {program}, which is not installed")
    try:
        done = subprocess.run(
            dies_with_us([program, "get"]),
            input=server.encode(),
            capture_output=True,
            timeout=_HELPER_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModcompatError(f"{program} does not end") from None
    if done.returncode != 0:
        if _NOT_FOUND in done.stdout:
            return None
        raise ModcompatError(f"{program} failed: {decoded(done.stdout + done.stderr)}")
    try:
        match _json(done.stdout):
            case {"Username": str(user), "Secret": str(secret)}:
                return Login(user, secret, is_token=user == _TOKEN_USER)
    except ValueError:
        pass
    raise ModcompatError(f"{program} does not answer with a login")


def _without_scheme(name: str) -> str:
    """The host in the name of a server, which may be a URL."""
    return name.split("://", 1)[-1].split("/", 1)[0]


def _mapping(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TypeError("it is not an object")
    return value


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is too deep") from error
