# SPDX-License-Identifier: Apache-2.0
"""Build a kernel into a cached artefact: image, symbols, device trees, and the files that module builds need."""

import os
import resource
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.kernel.arch import Architecture
from harness.kernel.config import KernelSpec, resolve
from harness.kernel.kconfig import parse
from harness.kernel.source import require_unchanged
from harness.kernel.toolchain import environment, toolchain
from harness.support import digest, process
from harness.support.cache.store import FREE_SOME, Store
from harness.support.errors import ModcompatError
from harness.support.module_name import kernel_name
from harness.support.packed import unpacked
from harness.support.progress import task

_RELEASE = "include/config/kernel.release"
RECIPE = 1  # raise when the files that are kept of a build change

_MAX_SYMVERS_BYTES = 64 << 20  # a distribution's has 2 MB

# Of the disk, for each line that make prints. Measured: 3.4 GB for the 3,525 lines of Debian 13's configuration, at the
# link of the kernel, and 0.1 GB for the 1,100 lines of ours, which has no debug information.
_BYTES_OF_STEP, _BYTES_OF_DEBUGGABLE_STEP = 100_000, 970_000

# Files of a build tree that `make M=` reads in addition to the sources (Documentation/kbuild/modules.rst).
_MODULE_BUILD_FILES = (
    "Makefile",
    ".config",
    "Module.symvers",
    "production.symvers",
    "include",
    "scripts",
    "tools/objtool/objtool",
)


@dataclass(frozen=True)
class Kernel:
    """A built kernel."""

    spec: KernelSpec
    folder: Path
    user_tree: Path | None = None  # build tree of a prebuilt kernel, an empty path if that has none

    @property
    def takes_modules(self) -> bool:
        """Whether modules can be built for it."""
        return self.user_tree != Path()

    @property
    def key(self) -> str:
        """Its name in the cache, which depends on everything that it was built from."""
        return self.folder.name

    @property
    def arch(self) -> Architecture:
        return self.spec.arch

    @property
    def image(self) -> Path:
        return self.folder / "image"

    @property
    def symbols(self) -> Path:
        return self.folder / "System.map"

    @property
    def build_tree(self) -> Path:
        return self.folder / "build"

    @property
    def config(self) -> dict[str, str]:
        return parse((self.build_tree / ".config").read_text())

    @property
    def release(self) -> str:
        return (self.build_tree / _RELEASE).read_text().strip()

    @property
    def vmlinux(self) -> Path | None:
        """The unstripped kernel, for debuggers: kept for kernels on a user-supplied configuration or prebuilt ones."""
        file = self.folder / "vmlinux"
        return file if file.is_file() else None

    def device_tree(self, name: str) -> Path | None:
        """The device tree of a file name; None if it was not built, or not given with a prebuilt kernel."""
        file = self.folder / "dtb" / name
        return file if file.is_file() else None

    @property
    def own_modules(self) -> dict[str, Path]:
        """The modules that were built with the kernel: the kernel's name for a module -> .ko."""
        return {kernel_name(path.stem): path for path in sorted((self.folder / "modules").glob("*.ko"))}


def make_command(tree: Path, output: Path) -> list[str | Path]:
    return ["make", "-C", tree, f"O={output}", f"-j{_jobs()}"]


def find_kernel(spec: KernelSpec, store: Store) -> Kernel | None:
    """The kernel, None if it is not in the cache."""
    folder = store.get("kernel", spec.label, kernel_inputs(spec, store))
    return Kernel(spec, folder) if folder else None


def build_kernel(spec: KernelSpec, store: Store) -> Kernel:
    """The kernel, from the cache or newly built. Raises ModcompatError with the last lines of a failed build."""
    inputs = kernel_inputs(spec, store)
    log = store.root / "logs" / f"{store.path('kernel', spec.label, inputs).name}.log"
    return Kernel(
        spec,
        store.get_or_build(
            "kernel", spec.label, inputs, lambda folder: _build(spec, inputs["config"], folder, store, log)
        ),
    )


def kernel_inputs(spec: KernelSpec, store: Store) -> dict[str, object]:
    """Everything that a kernel is built from, for its key in the cache."""
    inputs: dict[str, object] = {
        "source": spec.source.identity,
        "config": resolve(spec, store),
        "patches": [],
        "toolchain": toolchain(spec.arch),
        "recipe": RECIPE,
    }
    users = spec.user_config
    if users and users.shipped:
        inputs |= {"targets": list(_targets(spec, "")), "KERNELRELEASE": users.release}
    if spec.takes_versions:
        symvers = _shipped_symvers(spec)
        inputs["versions of"] = digest.of_file(symvers) if symvers else kernel_inputs(spec.production, store)
    return inputs


def _targets(spec: KernelSpec, config: str) -> list[str]:
    """Make targets of a kernel. A shipped production has its modules already, so debug kernels are built without."""
    shipped = spec.user_config and spec.user_config.shipped
    return [spec.arch.image, *(["modules_prepare"] if shipped else ["modules", *_device_trees(spec, config)])]


def _shipped_symvers(spec: KernelSpec) -> Path | None:
    """Module.symvers of a shipped production kernel; None if production is built. Raises ModcompatError without one."""
    users = spec.user_config
    if users is None or not users.shipped:
        return None
    if users.symvers is None:
        raise ModcompatError(
            "production has symbol versions (MODVERSIONS), but its Module.symvers is missing: isolated kernels need it "
            "to have the same versions",
            next_step="put Module.symvers next to the image; Debian has it in the package linux-headers-<release>",
        )
    return users.symvers


def _build(spec: KernelSpec, config: object, folder: Path, store: Store, log: Path) -> None:
    """Build a kernel into a folder. log: used by no other kernel; it stays if the build fails."""
    arch = spec.arch
    log.unlink(missing_ok=True)
    targets = _targets(spec, str(config))
    versions = None
    if spec.takes_versions:
        versions = _shipped_symvers(spec) or build_kernel(spec.production, store).build_tree / "Module.symvers"
    what = f"building the {spec.title}"
    started, used = time.monotonic(), _processor_seconds()
    output = make(
        spec,
        config,
        targets,
        store,
        folder=folder,
        log=log,
        what=what,
        steps=None if spec.user_config else arch.build_steps,
        versions=versions,
    )
    boot = output / "arch" / arch.kernel / "boot"
    shutil.copy(boot / arch.image, folder / "image")
    shutil.copy(output / "System.map", folder / "System.map")
    _keep_modules(output, folder / "modules", arch)
    for tree in arch.device_trees:
        # Since Linux 6.5, arm has one folder per vendor.
        if found := next((boot / "dts").rglob(tree.file), None):
            (folder / "dtb").mkdir(exist_ok=True)
            shutil.copy(found, folder / "dtb" / tree.file)
    if spec.user_config and not spec.user_config.shipped:  # a distribution's has half a gigabyte of debug information
        shutil.copy(output / "vmlinux", folder / "vmlinux")
    if spec.user_config and spec.user_config.shipped:  # without modules, the kernel's own exports are all that there is
        shutil.copy(output / "vmlinux.symvers", output / "Module.symvers")
    keep_build_tree(output, folder / "build", arch)
    with log.open("a") as lines:
        seconds, processor = time.monotonic() - started, _processor_seconds() - used
        lines.write(f"modcompat: built in {seconds:.1f} s, {processor:.1f} s of processor time, {_jobs()} jobs\n")
    shutil.move(log, folder / "build.log")


def make(
    spec: KernelSpec,
    config: object,
    targets: Sequence[str],
    store: Store,
    *,
    folder: Path,
    log: Path,
    what: str,
    steps: int | None,
    versions: Path | None = None,
) -> Path:
    """Make targets of a kernel with a configuration. Returns the output folder, which is below `folder`.

    what: for progress and errors. steps: the number of lines that make will print, for the estimate; None to count
    them, which takes half a minute for a distribution's configuration. versions: production's Module.symvers. Raises
    ModcompatError with the last lines of a failed make.
    """
    output = folder / "output"
    output.mkdir()
    (output / ".config").write_text(str(config))
    if versions:
        (output / "production.symvers").write_bytes(unpacked(versions.read_bytes(), _MAX_SYMVERS_BYTES))
    command, env = make_command(spec.source.tree(), output), environment(spec.arch)
    release = _release(spec, folder, store)
    if release:
        command.append(f"KERNELRELEASE={release}")
    if steps is None:
        process.run([*command, "modules_prepare"], env=env, log=log, what=f"preparing: {what}")
        steps = _count_steps([*command, *targets], env)
    require_space(folder, parse(str(config)), steps, what)
    with task(what, steps) as running:
        process.run(
            [*command, *targets],
            env=env,
            log=log,
            what=what,
            on_line=lambda line: running.step() if line.startswith("  ") else None,
        )
    require_unchanged(spec.source)
    if release:
        (output / _RELEASE).write_text(f"{release}\n")
    return output


def require_space(folder: Path, config: Mapping[str, str], steps: int, what: str) -> None:
    """Raise ModcompatError if the disk of a folder has no room for a build of so many steps."""
    size = steps * (_BYTES_OF_DEBUGGABLE_STEP if config.get("DEBUG_INFO") == "y" else _BYTES_OF_STEP)
    free = shutil.disk_usage(folder).free
    if free < size:
        raise ModcompatError(
            f"{what} takes about {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free for {folder.parents[1]}",
            next_step=FREE_SOME,
        )


def _count_steps(command: Sequence[str | Path], env: Mapping[str, str]) -> int:
    """The number of lines that a make command would print, from a dry run.

    The dry run ends where a file that it would have made is missing, which is at the link of the kernel.
    """
    dry = process.output([*command, "--dry-run"], env=env, accepted=range(256))
    return max(1, dry.count("echo '  "))


def _release(spec: KernelSpec, folder: Path, store: Store) -> str:
    """The release to give a kernel; "" for the one that its Makefile composes.

    Modules carry it, and user space finds modules by it. A debug kernel for production as it ships gets production's,
    which distributions choose regardless of the version of the source. A copy of a git tree gets that of the original:
    scripts/setlocalversion adds to it what git knows of the tree. folder: for temporary files.
    """
    users, history = spec.user_config, spec.source.history
    if users and users.shipped:
        return users.release
    if history is None or spec.source.tree() == history:
        return ""
    output = folder / "release"
    output.mkdir()
    (output / ".config").write_text(resolve(spec.production, store))
    command, env = make_command(history, output), environment(spec.arch)
    process.output([*command, "syncconfig"], env=env)
    release = process.output([*command, "--silent", "--no-print-directory", "kernelrelease"], env=env).strip()
    shutil.rmtree(output)
    return release


def keep_build_tree(output: Path, kept: Path, arch: Architecture) -> None:
    """Copy the files that module builds need from a build, and remove the rest."""
    for name in (*_MODULE_BUILD_FILES, f"arch/{arch.kernel}/include/generated"):
        if (output / name).exists():
            _copy(output / name, kept / name)
    shutil.rmtree(output)


def _device_trees(spec: KernelSpec, config: str) -> list[str]:
    """Make targets for the boards' device trees; a user-supplied configuration may lack the symbols for some."""
    trees = spec.arch.device_trees
    if not spec.user_config:
        return ["dtbs"] if trees else []
    symbols = parse(config)
    return [tree.file for tree in trees if symbols.get(tree.symbol) == "y"]


def _keep_modules(output: Path, kept: Path, arch: Architecture) -> None:
    """Keep the modules that were built with the kernel, without their debug information."""
    for module in sorted(output.rglob("*.ko")):
        kept.mkdir(exist_ok=True)
        process.output([f"{arch.cross_compile}strip", "--strip-debug", "-o", kept / module.name, module])


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        ignored = shutil.ignore_patterns("*.o", "*.cmd", "*.a")
        shutil.copytree(source, target, symlinks=True, ignore=ignored)
    else:
        shutil.copy2(source, target)


def _processor_seconds() -> float:
    """The processor time of every program that this process has run."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _jobs() -> int:
    return len(os.sched_getaffinity(0))
