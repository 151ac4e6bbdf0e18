# SPDX-License-Identifier: Apache-2.0
"""The cache's remote in real servers on this machine: moto, which has the protocol of S3, and an OCI registry."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from harness.guest.boards import BOARDS
from harness.kernel.build import Kernel
from harness.kernel.module_build import build_modules
from harness.kernel.variants import PRODUCTION
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.settings import Settings
from harness.support import digest
from harness.support.cache import sharing
from harness.support.cache.packed_entry import SUFFIX
from harness.support.cache.store import Store
from harness.support.process import dies_with_us
from tests.system.conftest import LOCKS, users_environment

INPUTS = {"source": "abc"}
BUCKET = "modcompat"
USER, PASSWORD = "me", "a:secret"
HTPASSWD = "me:$2b$04$RrWvS1VvCJJqp5Qux0csXObdaynj0QCQwFPaBh1cXBqhGvGpKsfdq"  # bcrypt, the only format it takes
CERTIFY = (
    "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=modcompat",
    "-addext", "subjectAltName=IP:127.0.0.1",
)  # fmt: skip
WRITERS = 12
TOGETHER = 4  # more at a time would wait for a processor until they give the server up
BUILT = count(1_700_000_000)  # seconds since the epoch
START_SECONDS = 60.0
ENTRY_BYTES = 12 << 20  # enough for two parts of an upload
PASSED_BYTES = 2 << 20  # before the server is killed


class Server:
    """A server that is empty."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with closing(socket.create_server(("127.0.0.1", 0))) as probe:
            self.port: int = probe.getsockname()[1]
        with (folder / "server.log").open("w") as log:
            self.process = subprocess.Popen(dies_with_us(self.command()), stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self.process.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.05)

    def _answers(self) -> bool:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self, port: int) -> Mapping[str, str]:
        """What makes this server the remote, by way of a port."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Make what a remote needs."""

    def change(self, entry: str, damage: Callable[[bytes], bytes]) -> None:
        """Change the bytes of a packed entry in the server."""
        raise NotImplementedError


class S3(Server):
    """A server with a bucket."""

    def command(self) -> list[str]:
        pytest.importorskip("boto3")
        pytest.importorskip("s3fs")
        pytest.importorskip("moto.server")
        return [sys.executable, "-m", "moto.server", "-p", str(self.port)]

    def environment(self, port: int) -> Mapping[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", sharing.URL_VARIABLE: f"s3://{BUCKET}/cache",
        }  # fmt: skip

    def prepare(self) -> None:
        import_module("boto3").client("s3").create_bucket(Bucket=BUCKET)

    def change(self, entry: str, damage: Callable[[bytes], bytes]) -> None:
        client, key = import_module("boto3").client("s3"), f"cache/{entry}{SUFFIX}"
        packed = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        client.put_object(Bucket=BUCKET, Key=key, Body=damage(packed))


class OciRegistry(Server):
    """The registry of the CNCF project distribution, with TLS and a login."""

    def command(self) -> list[str]:
        program = next(filter(None, map(shutil.which, ("docker-registry", "registry"))), None)
        if program is None:
            pytest.skip("there is no docker-registry in PATH: Debian's package of that name has it")
        pytest.importorskip("requests")
        certificate, key = (str(self.folder / name) for name in ("certificate.pem", "key.pem"))
        subprocess.run([*CERTIFY, "-out", certificate, "-keyout", key], check=True, capture_output=True)
        (self.folder / "users").write_text(HTPASSWD)
        configuration = {
            "version": "0.1",
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "registry")}},
            "http": {"addr": f"127.0.0.1:{self.port}", "tls": {"certificate": certificate, "key": key}},
            "auth": {"htpasswd": {"realm": "registry", "path": str(self.folder / "users")}},
        }
        (self.folder / "registry.yml").write_text(json.dumps(configuration))
        return [program, "serve", str(self.folder / "registry.yml")]

    def environment(self, port: int) -> Mapping[str, str]:
        login = {"auth": b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
        (self.folder / "config.json").write_text(json.dumps({"auths": {f"127.0.0.1:{port}": login}}))
        return {
            "DOCKER_CONFIG": str(self.folder), "REQUESTS_CA_BUNDLE": str(self.folder / "certificate.pem"),
            sharing.URL_VARIABLE: f"oci://127.0.0.1:{port}/team/modcompat",
        }  # fmt: skip

    def change(self, entry: str, damage: Callable[[bytes], bytes]) -> None:
        blobs = self.folder.glob("registry/docker/registry/v2/blobs/sha256/*/*/data")
        packed = max(blobs, key=lambda blob: blob.stat().st_size)
        packed.write_bytes(damage(packed.read_bytes()))


@pytest.fixture(params=[S3, OciRegistry])
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that is the remote that the environment names."""
    server: Server = request.param(tmp_path)
    for name, value in server.environment(server.port).items():
        monkeypatch.setenv(name, value)
    server.prepare()
    yield server
    sharing.forget()
    server.kill()


def machine(root: Path) -> Store:
    """The cache of another machine."""
    sharing.forget()
    return Store(root)


def write(folder: Path) -> None:
    image = folder / "image"
    image.write_bytes(random.Random(0).randbytes(ENTRY_BYTES))  # zstd cannot make it smaller
    os.utime(image, (time := next(BUILT), time))  # two builds are never of the same second


def refuse(folder: Path) -> None:
    raise AssertionError(f"built again: {folder}")


def modcompat(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", "cache", *arguments]
    environment = users_environment() | {"MODCOMPAT_CACHE": str(root)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_kernel_of_another_machine_is_the_same_and_modules_build_on_it(server: Server, tmp_path: Path) -> None:
    kernels = Kernels(Settings())
    kernel = kernels.kernel(BOARDS["x86_64-q35"], PRODUCTION)
    one, other = tmp_path / "one", tmp_path / "other"
    shutil.copytree(kernel.folder, one / "kernel" / kernel.folder.name, symlinks=True)
    sent = modcompat(one, "push")
    assert (sent.returncode, sent.stdout.splitlines()[-1]) == (0, "sent 1 entry, 0 were there"), sent.stderr
    fetched = modcompat(other, "pull")
    assert (fetched.returncode, fetched.stdout.splitlines()[-1]) == (0, "fetched 1 entry, 0 were there"), fetched.stderr
    assert digest.of_tree(other / "kernel") == digest.of_tree(one / "kernel")
    pulled = Kernel(kernel.spec, other / "kernel" / kernel.folder.name)
    built = [build_modules(LOCKS, it, Store(tmp_path / name)) for it, name in ((kernel, "here"), (pulled, "there"))]
    assert digest.of_file(built[1]["locks"]) == digest.of_file(built[0]["locks"])


def test_what_one_machine_built_is_not_built_on_another(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built = machine(tmp_path / "one").get_or_build("kernel", "arm", INPUTS, write)
    found = machine(tmp_path / "other").get_or_build("kernel", "arm", INPUTS, refuse)
    assert digest.of_tree(found) == digest.of_tree(built)
    assert "remote cache" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "damage",
    [lambda packed: packed[: len(packed) // 2], lambda packed: packed[:-99] + bytes(99), lambda _: b"<html>"],
    ids=["cut", "zeros", "page"],
)
def test_damaged_bytes_are_refused_and_replaced(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[bytes], bytes]
) -> None:
    path = machine(tmp_path / "one").get_or_build("kernel", "arm", INPUTS, write)
    server.change(f"kernel/{path.name}", damage)
    fetched = modcompat(tmp_path / "other", "pull")
    assert fetched.returncode == 1
    assert fetched.stdout.splitlines()[-1] == "fetched 0 entries, 0 were there, 1 was refused"
    machine(tmp_path / "other").get_or_build("kernel", "arm", INPUTS, write)
    assert "is refused: " in capsys.readouterr().err
    machine(tmp_path / "third").get_or_build("kernel", "arm", INPUTS, refuse)


def test_a_dozen_machines_may_send_the_same_entry(server: Server, tmp_path: Path) -> None:
    roots = [tmp_path / str(number) for number in range(WRITERS)]
    for root in roots:
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv(sharing.URL_VARIABLE)
            path = machine(root).get_or_build("kernel", "arm", INPUTS, write)
    with ThreadPoolExecutor(TOGETHER) as pool:
        sent = list(pool.map(lambda root: modcompat(root, "push"), roots))
    assert [done.returncode for done in sent] == [0] * WRITERS, [done.stderr for done in sent]
    machine(tmp_path / "other").get_or_build("kernel", "arm", INPUTS, refuse)
    assert (tmp_path / "other/kernel" / path.name / "image").stat().st_size == ENTRY_BYTES


class Wire:
    """A way to a server, which is killed after some bytes went one way."""

    def __init__(self, server: Server, *, from_server: bool) -> None:
        self._server = server
        self._from_server = from_server
        self._left = PASSED_BYTES
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._server.port))
                except OSError:
                    near.close()
                    continue
                for source, target, counts in ((far, near, self._from_server), (near, far, not self._from_server)):
                    threading.Thread(target=self._pass, args=(source, target, counts), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, counts: bool) -> None:  # noqa: FBT001
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
                self._left -= len(data) * counts
                if self._left < 0:
                    self._server.kill()
                    break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()


@pytest.mark.parametrize("way", ["download", "upload"])
def test_a_server_that_dies_in_the_middle_makes_nothing_fail(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    if way == "download":
        machine(tmp_path / "one").get_or_build("kernel", "arm", INPUTS, write)
    capsys.readouterr()
    with closing(Wire(server, from_server=way == "download")) as wire:
        for name, value in server.environment(wire.port).items():
            monkeypatch.setenv(name, value)
        store = machine(tmp_path / "other")
        path = store.get_or_build("kernel", "arm", INPUTS, write)
        other = store.get_or_build("kernel", "x86_64", INPUTS, write)
    output = capsys.readouterr().err
    assert server.process.returncode == -signal.SIGKILL, "it was not in the middle"
    assert Store(store.root).is_whole(path)
    assert Store(store.root).is_whole(other)
    shown = f"{'fetching' if way == 'download' else 'sending'} kernel/{path.name}"
    complaints = [line for line in output.splitlines() if not line.startswith(shown)]  # the progress of a slow machine
    ends = {"download": ["going on without it"], "upload": ["nothing more is sent to it", "going on without it"]}
    assert [line.split("; ")[-1] for line in complaints] == ends[way], output
    assert not list(store.root.glob("scratch/*"))
    refused = modcompat(tmp_path / "third", "pull")
    assert refused.returncode == 2
    assert "cannot list it: " in refused.stderr


def test_an_interrupted_pull_leaves_whole_entries(server: Server, tmp_path: Path) -> None:
    one = machine(tmp_path / "one")
    paths = [one.get_or_build("kernel", str(number), INPUTS, write) for number in range(8)]
    command = [sys.executable, "-m", "harness", "cache", "pull"]
    environment = users_environment() | {"MODCOMPAT_CACHE": str(tmp_path / "other")}
    facts: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(
        command, env=environment, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler), **facts
    ) as pull:
        deadline = time.monotonic() + START_SECONDS
        while not list(tmp_path.glob("other/kernel/*")):
            assert time.monotonic() < deadline, "nothing arrives"
            time.sleep(0.005)
        os.kill(pull.pid, signal.SIGINT)
        output, _ = pull.communicate(timeout=START_SECONDS)
    assert pull.returncode == 130, output
    other = Store(tmp_path / "other")
    arrived = [entry.path for entry in other.entries()]
    assert 0 < len(arrived) < len(paths)
    assert all(other.is_whole(path) for path in arrived)
    assert {path.name for path in (tmp_path / "other/kernel").iterdir()} == {path.name for path in arrived}
    again = modcompat(tmp_path / "other", "pull")
    assert again.stdout.splitlines()[-1].startswith(f"fetched {len(paths) - len(arrived)} entries, {len(arrived)} w")
    assert not [path for path in tmp_path.glob("other/scratch/*") if path.is_dir()]
