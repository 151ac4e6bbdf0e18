# SPDX-License-Identifier: Apache-2.0
"""A remote in a registry: entries are tags, what is damaged is refused, and docker's logins are used."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.support.cache import sharing
from harness.support.cache.entry_manifest import entry_name
from harness.support.cache.packed_entry import RefusedError, pack, unpack
from harness.support.cache.registry.access import RegistryAccess, challenge_in, token_in
from harness.support.cache.registry.connection import Connection, RegistryError
from harness.support.cache.registry.login import Login, kept_in
from harness.support.cache.registry.oci_format import (
    Blob,
    Repository,
    blob_in,
    entry_of,
    manifest_of,
    repository_at,
    tag_of,
    tags_in,
)
from harness.support.cache.remote import Remote, RemoteError
from harness.support.cache.sharing import URL_VARIABLE
from harness.support.cache.store import Store
from harness.support.patience import Patience
from tests.unit.support.oci_server import REPOSITORY, Answer, OciServer, Request, serving

pytest.importorskip("requests")
ENTRY = "kernel/arm-0123456789abcdef"
LONG = f"module/{'x' * 119}+-0123456789abcdef"
INPUTS = {"source": "abc"}
OTHER = {"source": "def"}
SECRET = "p:w"


def nothing(_: int) -> None:
    pass


@pytest.fixture
def server() -> Iterator[OciServer]:
    with serving(OciServer()) as server:
        yield server


@pytest.fixture
def remote(server: OciServer) -> Remote:
    return Remote(server.url, Patience(answer=5, stall=5))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 20_000)
    return source


@pytest.fixture(autouse=True)
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Docker's config.json, which does not exist yet."""
    (tmp_path / "docker").mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    return tmp_path / "docker/config.json"


def test_what_was_put_is_listed_and_fetched(server: OciServer, remote: Remote, source: Path, tmp_path: Path) -> None:
    assert remote.entries() == set()
    assert remote.size(ENTRY) is None
    moved: list[int] = []
    remote.put(ENTRY, source, moved.append)
    assert remote.entries() == {ENTRY}
    assert remote.size(ENTRY) == source.stat().st_size
    source.write_bytes(b"another")
    remote.put(ENTRY, source, nothing)
    remote.fetch(ENTRY, 7, tmp_path / "fetched", nothing)
    assert (tmp_path / "fetched").read_bytes() == b"another"
    assert list(server.tags) == ["kernel.arm-0123456789abcdef"]


def test_a_blob_that_is_there_is_not_sent_again(server: OciServer, remote: Remote, source: Path) -> None:
    remote.put(ENTRY, source, nothing)
    server.requests.clear()
    remote.put("kernel/x86-0123456789abcdef", source, nothing)
    assert [request.method for request in server.requests] == ["HEAD", "HEAD", "PUT"]
    assert len(server.blobs) == 2


def test_all_pages_of_tags_are_read_and_other_tags_are_not_listed(
    server: OciServer, remote: Remote, source: Path
) -> None:
    names = {ENTRY, LONG, *(f"config/{number}-0123456789abcdef" for number in range(7))}
    for name in names:
        remote.put(name, source, nothing)
    other = manifest_of(Blob("kernel/other", "sha256:" + "0" * 64, 1))
    for tag in ("latest", "kernel.arm", "nosuch.arm-0123456789abcdef", f"module..{'0' * 64}", "kernel.-_zz", "kernel."):
        server.tags[tag] = other
    server.tags[f"kernel..{'1' * 64}"] = b"<html>"
    assert remote.entries() == names


def test_a_name_that_is_too_long_for_a_tag_is_found(remote: Remote, source: Path, tmp_path: Path) -> None:
    remote.put(LONG, source, nothing)
    assert remote.size(LONG) == source.stat().st_size
    remote.fetch(LONG, source.stat().st_size, tmp_path / "fetched", nothing)


def replaced(server: OciServer, **changes: object) -> None:
    """Change the layer in the manifest of every tag."""
    for tag, manifest in server.tags.items():
        facts = json.loads(manifest)
        facts["layers"][0] |= changes
        server.tags[tag] = json.dumps(facts).encode()


def swap_blobs(server: OciServer, change: Callable[[bytes], bytes]) -> None:
    server.blobs = {digest: change(blob) for digest, blob in server.blobs.items()}


DAMAGES: dict[str, tuple[Callable[[OciServer], object], str]] = {
    "cut": (lambda server: swap_blobs(server, lambda blob: blob[:-1]), "is not as its digest says"),
    "flipped": (lambda server: swap_blobs(server, lambda blob: b"\0" + blob[1:]), "is not as its digest says"),
    "longer": (lambda server: swap_blobs(server, lambda blob: blob + b"\0"), "is not as its digest says"),
    "page": (lambda server: swap_blobs(server, lambda _: b"<html>"), "is not as its digest says"),
    "collected": (lambda server: server.blobs.clear(), "its blob is not there"),
    "no-manifest": (lambda server: server.tags.update(dict.fromkeys(server.tags, b"<html>")), "manifest is damaged"),
    "index": (lambda server: server.tags.update(dict.fromkeys(server.tags, b'{"manifests": []}')), "of another kind"),
    "size": (lambda server: replaced(server, size=-1), "manifest is damaged"),
    "digest": (lambda server: replaced(server, digest="sha256:../../x"), "manifest is damaged"),
    "image": (lambda server: replaced(server, mediaType="application/vnd.oci.image.layer.v1.tar"), "of another kind"),
    "renamed": (
        lambda server: replaced(server, annotations={"org.opencontainers.image.title": f"{LONG}.tar.zst"}),
        "that of another entry",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "why"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_entry_is_refused_built_and_replaced(
    *,
    server: OciServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[OciServer], object],
    why: str,
) -> None:
    monkeypatch.setenv(URL_VARIABLE, server.url)
    sharing.forget()
    path = Store(tmp_path / "one").get_or_build("kernel", "arm", INPUTS, lambda folder: write(folder, "first"))
    damage(server)
    store = Store(tmp_path / "other")
    store.get_or_build("kernel", "arm", INPUTS, lambda folder: write(folder, "second"))
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("remote cache")]
    assert line.startswith(f"remote cache {server.url}: kernel/{path.name} is refused: ")
    assert why in line
    assert not list(store.root.glob("scratch/*"))
    third = Store(tmp_path / "third").get_or_build("kernel", "arm", INPUTS, refuse)
    assert (third / "image").read_text() == "second"


def write(folder: Path, text: str) -> None:
    (folder / "image").write_text(text)


def refuse(folder: Path) -> None:
    raise AssertionError(f"built again: {folder}")


def test_a_download_that_ends_early_leaves_no_entry(
    server: OciServer, remote: Remote, source: Path, tmp_path: Path
) -> None:
    remote.put(ENTRY, source, nothing)
    server.after = lambda request, answer: replace(answer, cut=1 << 20) if "/blobs/" in request.path else answer
    with pytest.raises(RemoteError, match=r"cannot read from it: .*bytes read"):
        remote.fetch(ENTRY, source.stat().st_size, tmp_path / "fetched", nothing)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(500), "HTTP 500 Internal Server Error"),
        (Answer(502, b"<html>"), "HTTP 502 Bad Gateway"),
        (Answer(403, b'{"errors": [{"message": "denied: not\\nyours"}]}'), "HTTP 403 Forbidden: denied: not yours"),
        (Answer(429, b'{"errors": []}'), "HTTP 429 Too Many Requests"),
        (Answer(401, headers={"WWW-Authenticate": "Negotiate"}), "a login of an unknown kind"),
        (Answer(302, headers={"Location": "gopher://x/"}), "gopher"),
        (Answer(200, bytes(5 << 20)), "an answer has more than 4 MiB"),
    ],
    ids=["500", "502", "403", "429", "negotiate", "gopher", "large"],
)
def test_an_error_is_one_line(server: OciServer, remote: Remote, source: Path, answer: Answer, why: str) -> None:
    server.before = lambda _: answer
    for work in (remote.entries, lambda: remote.size(ENTRY)):
        with pytest.raises(RemoteError, match=f"^cannot (read from|list) it: .*{why}"):
            work()
    if answer.status != 200:
        with pytest.raises(RemoteError, match=f"^cannot write to it: .*{why.split(':', 1)[0]}"):
            remote.put(ENTRY, source, nothing)


@pytest.mark.parametrize("page", [b"<html>", b"{}", b'{"tags": [1]}', b'{"tags": {}}', b"[" * 100_000])
def test_a_page_that_is_none_is_an_error(server: OciServer, remote: Remote, page: bytes) -> None:
    server.before = lambda _: Answer(content=page)
    with pytest.raises(RemoteError, match=r"^cannot list it: it does not answer like a registry"):
        remote.entries()


def test_a_list_without_end_ends(server: OciServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.support.cache.registry.entries._MAX_TAGS", 100)
    following = {"Link": f'</v2/{REPOSITORY}/tags/list>; rel="next"'}
    server.before = lambda _: Answer(content=b'{"tags": ["a", "b"]}', headers=following)
    with pytest.raises(RemoteError, match="more than 100 tags"):
        Remote(server.url).entries()


def test_a_registry_that_is_not_there_is_named_with_the_reason(source: Path) -> None:
    with serving(OciServer()) as server:
        url = server.url
    remote = Remote(url)
    with pytest.raises(RemoteError, match=r"^cannot read from it: Connection refused$"):
        remote.size(ENTRY)
    with pytest.raises(RemoteError, match=r"^cannot write to it: Connection refused$"):
        remote.put(ENTRY, source, nothing)


def test_a_registry_without_tls_has_its_own_scheme(server: OciServer) -> None:
    with pytest.raises(RemoteError, match=r"does not speak TLS: such a URL begins with oci\+http://"):
        Remote(server.url.replace("oci+http", "oci")).size(ENTRY)


def ask(remote: Remote, folder: Path) -> None:
    """Make all requests that only read."""
    remote.entries()
    remote.fetch(ENTRY, 1, folder / "fetched", nothing)


@pytest.mark.parametrize("part", ["/manifests/", "/blobs/", "/tags/"])
def test_a_registry_that_hangs_is_given_up(
    server: OciServer, remote: Remote, source: Path, tmp_path: Path, part: str
) -> None:
    remote.put(ENTRY, source, nothing)
    remote = Remote(server.url, Patience(answer=0.3, stall=0.3))
    over = threading.Event()

    def hang(request: Request) -> None:
        if part in request.path:
            over.wait()

    server.before = hang
    began = time.monotonic()
    try:
        with pytest.raises(RemoteError, match="no answer"):
            ask(remote, tmp_path)
    finally:
        over.set()
    assert time.monotonic() - began < 5


class Locked:
    """A registry that wants a login, of one of the two kinds."""

    def __init__(self, server: OciServer, *, bearer: bool, is_public: bool = False) -> None:
        """is_public: whether a token to read is for everybody."""
        self.server = server
        self.bearer = bearer
        self.is_public = is_public
        self.tokens = 0
        server.before = self.ask

    def ask(self, request: Request) -> Answer | None:
        given = request.headers.get("Authorization", "")
        if request.path == "/token":
            return self.token(request, given)
        if not self.bearer:
            is_open = given == basic("me", SECRET)
            return None if is_open else Answer(401, headers={"WWW-Authenticate": 'Basic realm="Registry"'})
        action = "pull" if request.method in ("GET", "HEAD") else "pull,push"
        is_open = given in (f"Bearer {self.tokens}-pull,push", f"Bearer {self.tokens}-{action}")
        realm = f"http://127.0.0.1:{self.server.port}/token"
        scope = f"repository:{REPOSITORY}:{action}"
        challenge = f'Bearer realm="{realm}",service="the, service",scope="{scope}"'
        return None if is_open else Answer(401, headers={"WWW-Authenticate": challenge})

    def token(self, request: Request, given: str) -> Answer:
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        facts = request.query | form
        is_known = given == basic("me", SECRET) or facts.get("refresh_token") == SECRET
        if not is_known and not self.is_public:
            return Answer(401, b'{"errors": [{"message": "wrong password"}]}')
        assert facts["service"] == "the, service"
        assert request.method == "POST" if form else "GET"
        self.tokens += 1
        name = "access_token" if form else "token"
        actions = facts["scope"].split(":")[2] if is_known else "pull"
        return Answer(content=json.dumps({name: f"{self.tokens}-{actions}"}).encode())


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def auth(password: str) -> str:
    return basic("me", password).split()[1]


@pytest.mark.parametrize("bearer", [False, True], ids=["basic", "bearer"])
@pytest.mark.parametrize("prefix", ["", "http://"])
def test_the_login_of_docker_is_used(
    *,
    server: OciServer,
    remote: Remote,
    source: Path,
    tmp_path: Path,
    docker: Path,
    bearer: bool,
    prefix: str,
) -> None:
    locked = Locked(server, bearer=bearer)
    facts = {"auths": {f"{prefix}127.0.0.1:{server.port}": {"auth": auth(SECRET)}}}
    docker.write_text(json.dumps(facts))
    assert remote.size(ENTRY) is None
    remote.put(ENTRY, source, nothing)
    assert remote.entries() == {ENTRY}
    remote.fetch(ENTRY, source.stat().st_size, tmp_path / "fetched", nothing)
    assert locked.tokens == 2 * bearer  # one to read, one to write
    if bearer:
        locked.tokens += 1  # the token is over
        assert remote.size(ENTRY) == source.stat().st_size


def test_an_identity_token_is_used(server: OciServer, remote: Remote, source: Path, docker: Path) -> None:
    locked = Locked(server, bearer=True)
    login = {"auth": basic("00000000-0000-0000-0000-000000000000", "").split()[1], "identitytoken": SECRET}
    docker.write_text(json.dumps({"auths": {f"127.0.0.1:{server.port}": login}}))
    remote.put(ENTRY, source, nothing)
    assert locked.tokens == 2


HELPER = """#!/bin/sh
read -r server
[ "$1" = get ] || exit 3
"""


@pytest.mark.parametrize("user", ["me", "<token>"])
@pytest.mark.parametrize("key", ["credHelpers", "credsStore"])
def test_a_credential_helper_is_asked(
    *,
    server: OciServer,
    remote: Remote,
    source: Path,
    tmp_path: Path,
    docker: Path,
    monkeypatch: pytest.MonkeyPatch,
    user: str,
    key: str,
) -> None:
    Locked(server, bearer=True)
    registry = f"127.0.0.1:{server.port}"
    helper(
        tmp_path, monkeypatch, f'[ "$server" = {registry} ] && echo \'{{"Username": "{user}", "Secret": "{SECRET}"}}\''
    )
    docker.write_text(json.dumps({key: {registry: "test"} if key == "credHelpers" else "test"}))
    remote.put(ENTRY, source, nothing)
    assert remote.size(ENTRY)


def helper(folder: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    (folder / "bin").mkdir()
    (folder / "bin/docker-credential-test").write_text(HELPER + end)
    (folder / "bin/docker-credential-test").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder / "bin"), prepend=":")


@pytest.mark.parametrize("bearer", [False, True], ids=["basic", "bearer"])
def test_without_a_login_the_command_for_it_is_named(
    server: OciServer, remote: Remote, docker: Path, *, bearer: bool
) -> None:
    Locked(server, bearer=bearer)
    docker.write_text(json.dumps({"auths": {"registry.example": {"auth": auth(SECRET)}}}))
    with pytest.raises(RemoteError, match=f"it wants a login: docker login 127.0.0.1:{server.port}"):
        remote.size(ENTRY)


def test_what_is_public_is_read_without_a_login(server: OciServer, remote: Remote, source: Path) -> None:
    Locked(server, bearer=True, is_public=True)
    assert remote.size(ENTRY) is None
    with pytest.raises(
        RemoteError, match=f"cannot write to it: it wants a login: docker login 127.0.0.1:{server.port}"
    ):
        remote.put(ENTRY, source, nothing)


@pytest.mark.parametrize("bearer", [False, True], ids=["basic", "bearer"])
def test_a_wrong_password_is_an_error_and_not_printed(
    server: OciServer, remote: Remote, docker: Path, *, bearer: bool
) -> None:
    Locked(server, bearer=bearer)
    docker.write_text(json.dumps({"auths": {f"127.0.0.1:{server.port}": {"auth": auth("wrong-one")}}}))
    with pytest.raises(RemoteError, match="HTTP 401") as caught:
        remote.size(ENTRY)
    assert "wrong-one" not in str(caught.value)


@pytest.mark.parametrize(
    ("end", "why"),
    [
        ("echo credentials not found in native keychain; exit 1", "it wants a login: docker login"),
        ("echo the keychain is locked; exit 1", "docker-credential-test failed: the keychain is locked"),
        ("echo hello", "docker-credential-test does not answer with a login"),
        ("echo '[]'", "docker-credential-test does not answer with a login"),
        ("sleep 100", "docker-credential-test does not end"),
    ],
)
def test_a_helper_that_fails_is_named(
    *,
    server: OciServer,
    remote: Remote,
    tmp_path: Path,
    docker: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: str,
    why: str,
) -> None:
    monkeypatch.setattr("harness.support.cache.registry.login._HELPER_SECONDS", 0.3)
    Locked(server, bearer=False)
    helper(tmp_path, monkeypatch, end)
    docker.write_text('{"credsStore": "test"}')
    with pytest.raises(RemoteError, match=why):
        remote.size(ENTRY)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "config.json is damaged next: docker login"),
        ('{"auths": []}', "config.json is damaged"),
        ('{"credsStore": 1}', "config.json is damaged"),
        ('{"credsStore": "nosuch"}', "docker-credential-nosuch, which is not installed"),
    ],
)
def test_a_damaged_configuration_is_named(server: OciServer, remote: Remote, docker: Path, text: str, why: str) -> None:
    Locked(server, bearer=False)
    docker.write_text(text)
    with pytest.raises(RemoteError, match=why):
        remote.size(ENTRY)


def test_a_password_is_not_sent_to_other_servers(
    server: OciServer, remote: Remote, source: Path, docker: Path, tmp_path: Path
) -> None:
    docker.write_text(json.dumps({"auths": {f"127.0.0.1:{server.port}": {"auth": auth(SECRET)}}}))
    remote.put(ENTRY, source, nothing)
    locked = Locked(server, bearer=False)
    with serving(OciServer()) as other:
        place = f"http://localhost:{other.port}"

        def ask(request: Request) -> Answer | None:
            if request.method == "POST":
                return Answer(202, headers={"Location": f"{place}/upload"})
            if request.method == "GET" and "/blobs/" in request.path:
                return Answer(307, headers={"Location": f"{place}{request.path}"})
            return locked.ask(request)

        server.before = ask
        other.before = lambda request: Answer(201) if request.method == "PUT" else server.answer_of(request)
        remote.fetch(ENTRY, source.stat().st_size, tmp_path / "fetched", nothing)
        source.write_bytes(b"new")
        remote.put(ENTRY, source, nothing)
    asked = [(request.method, request.headers.get("Authorization")) for request in other.requests]
    assert asked == [("GET", None), ("PUT", None)]


def test_a_password_is_not_sent_without_tls() -> None:
    access = RegistryAccess(Repository("https://registry.example", "registry.example", "x"))
    with pytest.raises(RegistryError, match="its tokens are at a place without TLS"):
        access._token(Connection(), {"realm": "http://registry.example/token"}, Login("me", SECRET))


def test_a_netrc_is_not_used(
    server: OciServer, remote: Remote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    remote.size(ENTRY)
    assert [request.headers.get("Authorization") for request in server.requests] == [None]


def exchange(url: str, root: Path, barrier: threading.Barrier, errors: list[BaseException]) -> None:
    """Write and read one entry again and again, among others."""
    try:
        path = Store(root / "cache").get_or_build("kernel", "arm", INPUTS, lambda folder: write(folder, root.name))
        entry, remote = f"kernel/{path.name}", Remote(url)
        pack(path, root / "packed")
        barrier.wait()
        for number in range(5):
            remote.put(entry, root / "packed", nothing)
            size = remote.size(entry)
            assert size, "it was there, and is not any more"
            remote.fetch(entry, size, root / f"fetched-{number}", nothing)
            unpack(root / f"fetched-{number}", root / str(number) / entry, INPUTS)
    except BaseException as error:  # noqa: BLE001 - told to the test
        errors.append(error)


def test_a_dozen_may_write_and_read_the_same_entry(server: OciServer, tmp_path: Path) -> None:
    barrier, errors = threading.Barrier(12), list[BaseException]()
    threads = []
    for number in range(12):
        (tmp_path / str(number)).mkdir()
        threads.append(
            threading.Thread(target=exchange, args=(server.url, tmp_path / str(number), barrier, errors), daemon=True)
        )
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert len(server.tags) == 1


LABELS = st.text(st.characters(codec="ascii"), max_size=150) | st.text("-_+2b.", max_size=150)


@given(label=LABELS, kind=st.sampled_from(["kernel", "module"]))
def test_a_tag_is_one_and_says_its_entry(label: str, kind: str) -> None:
    entry = f"{kind}/{entry_name(label, INPUTS)}"
    tag = tag_of(entry)
    assert len(tag) <= 128
    assert tag.replace(".", "").replace("-", "").replace("_", "").isalnum()
    assert tag[0].isalpha()
    assert entry_of(tag) in (entry, None)
    assert entry_of(tag) == entry or len(entry) > 60
    assert tag_of(f"{kind}/{entry_name(label, OTHER)}") != tag


@given(st.text("abz./-_0f2", max_size=40))
def test_any_tag_may_be_asked_for_its_entry(tag: str) -> None:
    entry = entry_of(tag)
    assert entry is None or tag_of(entry) == tag


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["layers", "digest", "size", "mediaType", "annotations", "tags", "token", "auths", "credsStore",
                         "credHelpers", "auth", "x"]), inner, max_size=4),
)  # fmt: skip
BYTES = st.binary(max_size=50) | JSON.map(lambda value: json.dumps(value).encode())


@given(BYTES)
def test_foreign_bytes_are_refused_in_one_way(data: bytes) -> None:
    with pytest.raises(RefusedError):
        blob_in(data)
    tags = tags_in(data)
    assert tags is None or all(isinstance(tag, str) for tag in tags)
    with suppress(RegistryError):
        assert token_in(data)
    with suppress(TypeError, ValueError):
        kept_in(data, "x")


@given(st.text(max_size=60) | st.text(' ",=Bearealm', max_size=60))
def test_any_challenge_is_read(header: str) -> None:
    scheme, parameters = challenge_in(header)
    assert scheme == scheme.lower()
    assert all(parameters.values())


@pytest.mark.parametrize(
    ("place", "origin", "path"),
    [
        ("registry.example/a", "https://registry.example", "a"),
        ("registry.example:5000/a/b-c__d.e/", "https://registry.example:5000", "a/b-c__d.e"),
        ("[::1]:5000/a", "https://[::1]:5000", "a"),
        ("docker.io/team/cache", "https://registry-1.docker.io", "team/cache"),
    ],
)
def test_a_url_names_a_repository(place: str, origin: str, path: str) -> None:
    found = repository_at("oci", place)
    assert found
    assert (found.origin, found.path) == (origin, path)
