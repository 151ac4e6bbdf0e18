"""What headers define beside structures and functions, and modules compile in: macros, and values of enumerators."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from harness import digest, process
from harness.abi.dwarf import read_enumerators
from harness.abi.macros import read_macros
from harness.kernel.headers import Headers
from harness.kernel.toolchain import environment
from harness.paths import IMAGES
from harness.progress import task
from harness.store import Store

_PROBE = IMAGES / "probe"
_READER = 1  # raise when what is read of the probe changes


@dataclass(frozen=True)
class Definitions:
    """macros: parameters and replacement by name, without options (CONFIG_...). enumerators: values by name."""

    macros: dict[str, str]
    enumerators: dict[str, int]


def kernel_definitions(headers: Headers, store: Store) -> Definitions:
    """The macros and enumerators of a kernel. Cached. Raises ModcompatError when the probe does not compile."""

    def build(folder: Path) -> None:
        scratch = folder / "scratch"
        shutil.copytree(_PROBE, scratch)
        command = [*headers.make, f"M={scratch}"]
        what = f"reading the macros and enumerators of {headers.label}"
        with task(what, 2) as running:
            for target, flags in (("probe.i", "-dD"), ("probe.o", "")):
                make = [*command, f"KCFLAGS={flags}", target]
                process.run(make, env=environment(headers.arch), log=folder / f"{target}.log", what=what)
                running.step()
        with (scratch / "probe.i").open(errors="replace") as lines:
            macros = {name: text for name, text in read_macros(lines).items() if not name.startswith("CONFIG_")}
        found = Definitions(macros, read_enumerators(scratch / "probe.o"))
        (folder / "definitions.json").write_text(json.dumps(asdict(found)))
        shutil.rmtree(scratch)

    inputs = {**headers.inputs, "probe": digest.of_tree(_PROBE), "reader": _READER}
    found = store.get_or_build("definitions", headers.label, inputs, build)
    return Definitions(**json.loads((found / "definitions.json").read_text()))
