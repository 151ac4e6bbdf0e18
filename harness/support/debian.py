# SPDX-License-Identifier: Apache-2.0
"""Fetches Debian packages into the cache, without root and without changing the system's own apt state."""

import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from harness.support import process
from harness.support.errors import ModcompatError

# apt's own list of indexes (apt-get(8), indextargets), and the mirrors of Debian itself in it
_TARGET = "$(CREATED_BY) $(LABEL) $(REPO_URI)"
_MIRROR = re.compile(r"^Packages (Debian|Debian-Security) (\S+)$")
_SUITES = {"Debian": "{0} {0}-updates", "Debian-Security": "{0}-security"}  # of a release, by the mirror's label
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_NAME = re.compile(r"[:=]")  # ends the name of a package in a request, NAME:ARCHITECTURE=VERSION
_VERSION = re.compile(r"^[^_]+_([^_]+)_[^_]+\.deb$")


def download(package: str, architecture: str, folder: Path, *, since: str = "") -> Path:
    """Download the newest version of a package and return the .deb, which is in `folder`.

    The system's package lists are used if they have the package. Otherwise (a foreign architecture, no lists yet) a
    private apt state for that one architecture is created, with the system's sources.

    since: the first release of Debian that has the package. If the system's release does not have it, the package is
    downloaded from that release, from the same mirror. Raises ModcompatError.
    """
    require_apt(package)
    before = set(folder.glob("*.deb"))
    request = f"{package}:{architecture}" if architecture != "all" else package
    refused = _fetch(request, folder, [])
    if refused is not None:
        with tempfile.TemporaryDirectory(prefix="modcompat-apt-") as private:
            options = _private_state(Path(private), architecture)
            # Continue if an index cannot be fetched: the package may be in another one.
            update_failed = _apt([*options, "update"], folder)
            refused = _fetch(request, folder, options)
            if refused is not None and since:
                options += _release(Path(private), since, options)
                update_failed = _apt([*options, "update"], folder)
                refused = _fetch(request, folder, options)
            if refused is not None:
                names = _named_like(package, options)
                if names and package not in names:
                    raise ModcompatError(
                        f"Debian has no package {package}", next_step=f"there are {', '.join(sorted(names))}"
                    )
                raise ModcompatError(
                    f"cannot download Debian's {request}",
                    details=f"{refused}\n{update_failed or ''}",
                    next_step="check the network and /etc/apt/sources.list*, and try again",
                )
    (deb,) = set(folder.glob("*.deb")) - before
    return deb


@dataclass(frozen=True)
class Archive:
    """Debian's packages for one architecture, in lists of our own."""

    architecture: str  # dpkg's name
    title: str  # for people: "Debian", "Debian trixie"
    options: list[str]  # for apt
    trouble: str  # what apt printed about lists that it could not fetch

    def download(self, package: str, folder: Path) -> Path:
        """Download a package, NAME or NAME=VERSION, and return the .deb, which is in `folder`. Raises ModcompatError.

        A package for all architectures is found as well.
        """
        before = set(folder.glob("*.deb"))
        name, equals, version = package.partition("=")
        refused = _fetch(f"{name}:{self.architecture}{equals}{version}", folder, self.options)
        if refused is not None:
            raise ModcompatError(
                f"{self.title} has no {package} for {self.architecture}",
                details=f"{refused}\n{self.trouble}",
                next_step=f"is there one at https://packages.debian.org/{name}? Or is /etc/apt/sources.list* at fault?",
            )
        (deb,) = set(folder.glob("*.deb")) - before
        return deb


@contextmanager
def archive(architecture: str, suite: str = "") -> Iterator[Archive]:
    """Debian's packages for an architecture. suite: a release, "" for those that the system uses.

    The lists are fetched anew (some 10 MB), into a private folder that is removed at the end. Raises ModcompatError.
    """
    require_apt("the package")
    with tempfile.TemporaryDirectory(prefix="modcompat-apt-") as private:
        options = _private_state(Path(private), architecture)
        trouble = _apt([*options, "update"], Path(private)) or ""
        if suite:
            options += _release(Path(private), suite, options)
            trouble = _apt([*options, "update"], Path(private)) or ""
        yield Archive(architecture, f"Debian {suite}".strip(), options, trouble)


def require_apt(what: str) -> None:
    """Raise ModcompatError if there is no apt-get. what: the thing that comes from Debian."""
    if shutil.which("apt-get") is None:
        raise ModcompatError(
            f"{what} comes from Debian's archive, but there is no apt-get here",
            next_step="use Debian 12 or 13, or give a kernel tree with --kernel-source DIR",
        )


def control_field(deb: Path, name: str) -> str:
    """A field of a package's control file, like Depends; "" if there is none. Raises ModcompatError."""
    return process.output(["dpkg-deb", "--field", deb, name]).strip()


def unpack(deb: Path, into: Path) -> None:
    """Unpack a whole package. Raises ModcompatError if it is damaged."""
    problem = f"cannot unpack {deb.name}: it is damaged, or not a Debian package"
    process.output(["dpkg-deb", "--extract", deb, into], problem=problem)


def _fetch(request: str, folder: Path, options: list[str]) -> str | None:
    """Download a package. Returns None on success, otherwise the reason.

    apt-get takes an unknown name with a dot in it for a regular expression (apt-get(8), install), so linux-source-6.1
    downloads linux-source-6.12 if only that exists. Other packages than the requested one are removed.
    """
    before = set(folder.glob("*.deb"))
    refused = _apt([*options, "download", request], folder)
    for deb in set(folder.glob("*.deb")) - before:
        if deb.name.partition("_")[0] != _NAME.split(request)[0]:
            deb.unlink()
            refused = f"apt-get found {deb.name} for {request}"
    return refused


def version_of(deb: Path) -> str:
    """The version in the file name of a .deb, with its epoch (apt writes `:` as `%3a`). Raises ModcompatError."""
    found = _VERSION.match(deb.name)
    if not found:
        raise ModcompatError(f"{deb.name} is not named like a Debian package")
    return found[1].replace("%3a", ":")


def unpack_member(deb: Path, member: str, into: Path) -> Path:
    """Extract one regular file of a .deb and return its path, `into`/`member`. Raises ModcompatError.

    The file is searched at the top and below usr/, since packages of Debian 13 have moved files of Debian 12 there.
    """
    names = {member, f"usr/{member}"}
    target = into / member
    target.parent.mkdir(parents=True, exist_ok=True)
    command = process.dies_with_us(["dpkg-deb", "--fsys-tarfile", deb])
    with tempfile.TemporaryFile() as errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as source:
        try:
            with tarfile.open(fileobj=source.stdout, mode="r|") as tar:
                for entry in tar:
                    content = tar.extractfile(entry) if entry.name.removeprefix("./") in names else None
                    if content is not None:
                        with target.open("wb") as file:
                            shutil.copyfileobj(content, file)
                        target.chmod(entry.mode & 0o777)
                        return target
        except tarfile.TarError as error:
            source.wait()
            errors.seek(0)
            details = errors.read().decode(errors="replace")[-1500:] or str(error)
            raise ModcompatError(f"cannot unpack {deb.name}", details=details) from None
        finally:
            source.kill()  # the rest of the package is not needed
    raise ModcompatError(f"{deb.name} has no {member}")


def unpack_tarball(tarball: Path, into: Path) -> None:
    """Unpack an .xz tarball without its single top folder. Raises ModcompatError."""
    _pipe([["xz", "-dc", "-T0", str(tarball)], ["tar", "-x", "-C", str(into), "--strip-components=1"]])


def _apt(arguments: list[str], folder: Path) -> str | None:
    """Run apt-get. Returns None on success, otherwise the end of its output."""
    done = subprocess.run(
        process.dies_with_us(["apt-get", "-q", *arguments]),
        cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    return None if done.returncode == 0 else done.stdout.decode(errors="backslashreplace")[-1500:]


def _named_like(package: str, options: list[str]) -> set[str]:
    """Packages in the lists whose names differ only in the version at the end; none if there are no lists."""
    stem = package.rstrip("0123456789.")
    # Leave out installed packages, which apt knows without any list.
    command = ["apt-cache", *options, "-o", "Dir::State::status=/dev/null", "pkgnames", stem]
    with suppress(ModcompatError):
        return set(process.output(command).split())
    return set()


def _private_state(folder: Path, architecture: str) -> list[str]:
    for needed in ("state/lists/partial", "cache/archives/partial"):
        (folder / needed).mkdir(parents=True)
    native = process.output(["dpkg", "--print-architecture"]).strip()
    settings = folder / "apt.conf"
    # Without "#clear", apt would add this architecture to the system's list.
    settings.write_text(
        f"#clear APT::Architectures;\nAPT::Architectures {{ "
        f'"{architecture if architecture != "all" else native}"; }};\n'
    )
    return [
        "-c", str(settings),
        "-o", f"Dir::State={folder / 'state'}",
        "-o", "Dir::State::status=/var/lib/dpkg/status",
        "-o", f"Dir::Cache={folder / 'cache'}",
        "-o", "Acquire::Languages=none",
    ]  # fmt: skip


def _release(folder: Path, name: str, options: list[str]) -> list[str]:
    """Options that read one release only, from the mirrors that the system uses.

    options: for an apt state that has lists. Raises ModcompatError if no mirror of Debian is configured.
    """
    targets = process.output(["apt-get", *options, "indextargets", "--format", _TARGET]).splitlines()
    mirrors = dict.fromkeys(found.groups() for line in targets if (found := _MIRROR.match(line)))
    if not any(label == "Debian" for label, _ in mirrors):
        raise ModcompatError(
            f"Debian {name} is needed, but no source of Debian's packages is configured here",
            next_step="add Debian's archive to /etc/apt/sources.list*; kernels: --kernel-source DIR",
        )
    sources = folder / "release.sources"
    sources.write_text(
        "\n".join(
            f"Types: deb\nURIs: {uri}\nSuites: {_SUITES[label].format(name)}\nComponents: main\nSigned-By: {_KEYRING}\n"
            for label, uri in mirrors
        )
    )
    return ["-o", f"Dir::Etc::SourceList={sources}", "-o", "Dir::Etc::SourceParts=/dev/null"]


def _pipe(commands: list[list[str]]) -> None:
    first, second = map(process.dies_with_us, commands)
    with subprocess.Popen(first, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as source:
        done = subprocess.run(second, stdin=source.stdout, capture_output=True, check=False)
        assert source.stdout is not None
        assert source.stderr is not None
        source.stdout.close()
        complaint = source.stderr.read() + done.stderr
    if source.returncode or done.returncode:
        raise ModcompatError(f"`{' '.join(commands[0])}` failed", details=complaint.decode(errors="replace")[-1500:])
