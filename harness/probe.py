"""The probe: a source file that includes what modules include, to be compiled against a kernel's headers."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import digest, process
from harness.kernel.headers import Headers
from harness.kernel.toolchain import environment
from harness.paths import IMAGES

_PROBE = IMAGES / "probe"


@dataclass(frozen=True)
class Probe:
    """A copy of it that may be written to. what: what is being done, for progress and errors."""

    folder: Path
    headers: Headers
    what: str

    @property
    def source(self) -> Path:
        return self.folder / "probe.c"

    def make(self, target: str, log: str, flags: str = "") -> Path:
        """Make `probe.i` or `probe.o` of it. log: a name. flags: more, for the compiler.

        Raises ModcompatError with the compiler's last lines.
        """
        command = [*self.headers.make, f"M={self.folder}", f"KCFLAGS={flags}", target]
        process.run(command, env=environment(self.headers.arch), log=self.log(log), what=self.what)
        return self.folder / target

    def log(self, name: str) -> Path:
        return self.folder.parent / name


@contextmanager
def probing(headers: Headers, folder: Path, what: str) -> Iterator[Probe]:
    """A probe that is gone afterwards. The logs stay in the folder."""
    scratch = folder / "scratch"
    shutil.copytree(_PROBE, scratch)
    yield Probe(scratch, headers, what)
    shutil.rmtree(scratch)


def probe_inputs(headers: Headers, reader: int) -> dict[str, object]:
    """Everything that what is read of it comes from, for cache keys. reader: raised when what is read changes."""
    return {**headers.inputs, "probe": digest.of_tree(_PROBE), "reader": reader}
