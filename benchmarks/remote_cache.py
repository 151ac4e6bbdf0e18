# SPDX-License-Identifier: Apache-2.0
"""Seconds and MB/s to send real kernels to a remote cache, and to fetch them: python -m benchmarks.remote_cache

The kernels of the cache are copied first; the cache itself is only read. The remotes are a folder, an S3 server (moto)
and an OCI registry (docker-registry, if it is installed) on this machine, so that the figures are those of packing,
unpacking and verifying, with no network.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from importlib import import_module
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from harness.support.cache.exchange import pull, push
from harness.support.cache.packed_entry import has_links
from harness.support.cache.remote import Remote
from harness.support.cache.sharing import Sharing
from harness.support.cache.store import Store
from harness.support.process import dies_with_us

_BUCKET = "modcompat"
_START_SECONDS = 60.0


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, missing: str) -> Iterator[None]:
    """Run a server. missing: what to do if it does not start."""
    with subprocess.Popen(dies_with_us(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + _START_SECONDS
            while True:
                with suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                if server.poll() is not None or time.monotonic() > deadline:
                    raise click.ClickException(f"{command[0]} does not start: {missing}")
                time.sleep(0.1)
            yield
        finally:
            server.kill()


@contextmanager
def s3_server() -> Iterator[str]:
    """An S3 server with a bucket. Yields the URL of a remote in it."""
    port = free_port()
    with running([sys.executable, "-m", "moto.server", "-p", str(port)], port, "pip install 'moto[server]'"):
        os.environ |= {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing",
        }  # fmt: skip
        import_module("s3fs").S3FileSystem().mkdir(_BUCKET)
        yield f"s3://{_BUCKET}/cache"


@contextmanager
def oci_registry(program: str, folder: Path) -> Iterator[str]:
    """A registry whose data is in a folder. Yields the URL of a remote in it."""
    port, configuration = free_port(), folder / "registry.yml"
    facts = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry-data")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    configuration.write_text(json.dumps(facts))
    with running([program, "serve", str(configuration)], port, "look at its log"):
        yield f"oci+http://127.0.0.1:{port}/modcompat"


def copy_kernels(folder: Path, count: int) -> tuple[int, float]:
    """Copy kernels of the cache into a new one. Returns how many, and their MB."""
    found = [entry for entry in Store().entries("kernel") if not has_links(entry.path)][-count:]
    for entry in found:
        shutil.copytree(entry.path, folder / entry.kind / entry.name)
    if not found:
        raise click.ClickException("the cache has no kernels: run `make spinlock` first")
    return len(found), sum(entry.size for entry in found) / 1e6


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def plain_seconds(url: str, source: Path, target: Path) -> tuple[float, float]:
    """Seconds to copy the files of the cache as they are, there and back, unverified."""
    files, root = import_module("fsspec.core").url_to_fs(f"{url}-plain")
    return (
        seconds(lambda: files.put(f"{source}/", f"{root}/", recursive=True)),
        seconds(lambda: files.get(f"{root}/", f"{target}/", recursive=True)),
    )


def measure(table: Table, name: str, url: str, folder: Path, *, plain: bool) -> None:
    """Add the line of a remote to the table. folder: has the cache that is sent."""
    source, target = Store(folder / "source"), Store(folder / name)
    remote = Remote(url)
    sharing = Sharing(remote, read_only=False)
    kernels = list(source.entries("kernel"))
    size = sum(entry.size for entry in kernels) / 1e6
    sending = seconds(lambda: push(source, sharing, ["kernel"]))
    fetching = seconds(lambda: pull(target, sharing, ["kernel"]))
    if len(list(target.entries("kernel"))) != len(kernels):
        raise click.ClickException(f"not everything arrived through the {name}")
    packed = sum(remote.size(entry) or 0 for entry in remote.entries()) / 1e6
    cells = [f"{packed:.0f}", *(f"{time:.1f} ({size / time:.0f} MB/s)" for time in (sending, fetching))]
    if plain:
        times = plain_seconds(url, folder / "source/kernel", folder / f"{name}-plain")
        cells += [f"{time:.1f} ({size / time:.0f} MB/s)" for time in times]
    table.add_row(name, *cells)


@click.command()
@click.option("--kernels", default=20, show_default=True, help="Kernels to copy, the last used ones.")
@click.option("--plain", is_flag=True, help="Also copy the files as they are, one by one, without any verification.")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Where to work [a temporary folder].")
def main(*, kernels: int, plain: bool, folder: Path | None) -> None:
    """Measure both ways. MB/s refer to the unpacked kernels."""
    with tempfile.TemporaryDirectory(prefix="modcompat-", dir=folder) as name:
        work = Path(name)
        count, size = copy_kernels(work / "source", kernels)
        columns = ["remote", "packed MB", "send s", "fetch s"] + ["plain: send s", "fetch s"] * plain
        table = Table(*columns, title=f"{count} kernels, {size:.0f} MB")
        measure(table, "folder", f"file://{work}/remote", work, plain=plain)
        with s3_server() as url:
            measure(table, "S3", url, work, plain=plain)
        if program := shutil.which("docker-registry"):
            with oci_registry(program, work) as url:
                measure(table, "registry", url, work, plain=False)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
