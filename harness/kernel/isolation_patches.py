# SPDX-License-Identifier: Apache-2.0
"""Apply the isolation series: kernel patches that keep the module ABI unchanged by debug features."""

import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.kernel.arch import ARCHITECTURES, Architecture
from harness.kernel.config import KernelSpec
from harness.kernel.patch_series import all_series, is_of_a_series, series
from harness.kernel.source import KernelSource, require_unchanged, user_tree, version_of
from harness.kernel.user_config import UserConfig
from harness.kernel.variants import Variant
from harness.kernel.versions import series_name
from harness.support import digest, process
from harness.support.cache.ownership import MANIFEST
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError, ProgramFailedError
from harness.support.progress import say

# An entry of Kconfig (Documentation/kbuild/kconfig-language.rst): its line, and the indented or blank lines after it
_ENTRY = re.compile(r"^(config (\w+)\n(?:(?:[ \t].*)?\n)*)", re.MULTILINE)
_TOUCHED = re.compile(r"^\+\+\+ [ab]/(\S+)", re.MULTILINE)


def kernel_spec(
    arch: Architecture,
    source: KernelSource,
    variant: Variant,
    store: Store,
    *,
    versions: bool = False,
    user_config: UserConfig | None = None,
) -> KernelSpec:
    """The specification of a kernel; the isolation series is applied to the source if the variant is isolated.

    versions: with MODVERSIONS, unless a user-supplied configuration decides that. Raises ModcompatError if there is no
    series for the architecture or the source.
    """
    if variant.isolated:
        require_isolation(arch)
    versions = user_config.has_versions if user_config else versions
    return KernelSpec(arch, isolated(source, store) if variant.isolated else source, variant, versions, user_config)


def require_isolation(arch: Architecture) -> None:
    """Raise ModcompatError if the series has not been written for an architecture."""
    if not arch.has_isolation:
        supported = ", ".join(each.name for each in ARCHITECTURES.values() if each.has_isolation)
        raise ModcompatError(
            f"the isolation series does not support {arch.name}: there are no isolated kernels for it",
            next_step=f"it supports {supported}; production and stock kernels exist for {arch.name}",
        )


def isolated(source: KernelSource, store: Store) -> KernelSource:
    """The source with the series of its version applied. Raises ModcompatError if there is none for it."""
    patches = series_for(source)
    identity = {
        **source.identity,
        "isolation": digest.of_value([_change_in(patch) for patch in patches]),
    }

    def tree() -> Path:
        return _patched_copy(source, patches, f"{source.label}-isolated", identity, store)

    return KernelSource(f"{source.label} with isolation", identity, tree, source, history=source.history)


def _change_in(patch: Path) -> str:
    """The diff of a patch, without its message, which no kernel depends on."""
    text = patch.read_text()
    change = f"\n{text}".partition("\ndiff --git ")[2]
    return change or text  # a patch that git did not write


def isolated_without(source: KernelSource, left_out: Path, store: Store) -> KernelSource:
    """The source with the series applied, except for one patch, to show the purpose of that patch.

    Lines that later patches also changed get their state before the patch (git-merge-file(1), --theirs). The Kconfig
    symbols of later patches stay.
    """
    whole = isolated(source, store)
    identity = {**whole.identity, "without": digest.of_file(left_out)}
    files = _touched([left_out])

    def tree() -> Path:
        def build(folder: Path) -> None:
            say(f"taking {left_out.name} out of the isolation series")
            process.output(["cp", "-a", "--link", f"{whole.tree()}/.", folder])
            (folder / MANIFEST).unlink(missing_ok=True)
            with store.scratch() as scratch:
                before, after = scratch / "before", scratch / "after"
                patches = series_for(source)
                place = patches.index(left_out)
                _part_of(source.tree(), files, patches[:place], before)
                _part_of(source.tree(), files, patches[: place + 1], after)
                for name in files:
                    merged = ""
                    if (before / name).is_file():
                        command = ["git", "merge-file", "-p", "-q", "--theirs"]
                        merged = process.output([*command, folder / name, after / name, before / name])
                    if merged and Path(name).name.startswith("Kconfig"):
                        states = [(tree / name).read_text() for tree in (folder, after, before)]
                        merged += _lost_symbols(merged, *states)
                    (folder / name).unlink()  # a link
                    if merged:
                        (folder / name).write_text(merged)

        label, keyed = f"{source.label}-without-{left_out.name[:4]}", {**identity, "keeps": "symbols"}
        return store.get_or_build("source", label, keyed, build)

    label = f"{source.label} with isolation, without {left_out.stem}"
    return KernelSource(label, identity, tree, source, history=source.history)


def _lost_symbols(merged: str, whole: str, after: str, before: str) -> str:
    """The entries of Kconfig symbols that a merge lost although other patches add them, to be appended."""
    entries = {name: text for text, name in _ENTRY.findall(whole)}
    known, gone = ({name for _, name in _ENTRY.findall(text)} for text in (merged, after))
    kept = {name for _, name in _ENTRY.findall(before)}
    return "".join(f"\n{text}" for name, text in entries.items() if name not in known | (gone - kept))


def _part_of(tree: Path, files: Iterable[str], patches: Iterable[Path], folder: Path) -> None:
    """Copy some files of a source tree to a folder, and apply patches to them."""
    patches = list(patches)
    for name in {*files, *_touched(patches)}:
        if (tree / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(tree / name, folder / name)
    for patch in patches:
        apply(patch, folder)


def _touched(patches: Iterable[Path]) -> list[str]:
    return sorted({name for patch in patches for name in _TOUCHED.findall(patch.read_text()) if name != "dev/null"})


def patched(source: KernelSource, patches: Sequence[Path], store: Store) -> KernelSource:
    """The source with user-supplied patches, in their order. Raises ModcompatError if one does not apply."""
    if not patches:
        return source
    contents = {str(place): digest.of_file(patch) for place, patch in enumerate(patches)}
    identity = {**source.identity, "patches": digest.of_value(contents)}

    def tree() -> Path:
        return _patched_copy(source, patches, f"{source.label}-patched", identity, store)

    return KernelSource(f"{source.label} patched", identity, tree, history=source.history)


def _patched_copy(
    source: KernelSource, patches: Sequence[Path], label: str, identity: dict[str, str], store: Store
) -> Path:
    def build(folder: Path) -> None:
        if any(map(is_of_a_series, patches)):
            _require_no_series(source.tree(), "give the tree without it: the series is applied to a copy")
        say(f"applying {len(patches)} patches to {source.label}")
        _copy(source.tree(), folder, store)
        (folder / MANIFEST).unlink(missing_ok=True)
        require_unchanged(source)
        for patch in patches:
            apply(patch, folder)

    return store.get_or_build("source", label, identity, build)


def _copy(tree: Path, folder: Path, store: Store) -> None:
    """Copy a source tree without its history, for patches."""
    # patch(1) replaces a file instead of writing into it; but a user's editor may do otherwise
    how = "--link" if tree.is_relative_to(store.root) else "--reflink=auto"
    process.output(["cp", "-a", how, "-t", folder, *(path for path in tree.iterdir() if path.name != ".git")])


def apply_series(tree: Path, store: Store) -> list[Path]:
    """Apply the series of its version to a user-supplied source tree: all patches or none. Returns the patches.

    Raises ModcompatError with the first patch that does not apply, or if the tree has the series already.
    """
    patches = series_for(user_tree(tree))
    _require_no_series(tree, "to apply another version of it, start from the tree without it")
    with store.scratch() as changed:
        _part_of(tree, (), patches, changed)
        _take_over(_touched(patches), changed, tree)
    return patches


def _require_no_series(tree: Path, next_step: str) -> None:
    kconfig = tree / "kernel/module/Kconfig"
    if kconfig.is_file() and "config MODULE_ABI_ISOLATION" in kconfig.read_text(errors="replace"):
        raise ModcompatError(f"{tree} has an isolation series already", next_step=next_step)


def _take_over(names: Sequence[str], changed: Path, tree: Path) -> None:
    """Put changed files into a tree, and remove those that are gone.

    Raises ModcompatError if one of them cannot be written; then nothing has changed.
    """
    parts: dict[Path, Path] = {}
    try:
        for name in names:
            target = tree / name
            if (changed / name).is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                part = target.with_name(f".{target.name}.modcompat")
                parts[part] = target
                shutil.copy2(changed / name, part)
    except BaseException as error:
        for part in parts:
            part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise ModcompatError(f"cannot write {error.filename or tree}: {error.strerror}") from None
        raise
    for part, target in parts.items():
        part.replace(target)
    for name in names:
        if not (changed / name).exists():
            (tree / name).unlink(missing_ok=True)


def series_for(source: KernelSource) -> list[Path]:
    """The patches for a source, in their order. Raises ModcompatError, with the known versions, if there are none."""
    version = version_of(source)
    patches = series(version)
    if not patches:
        known = ", ".join(all_series())
        raise ModcompatError(
            f"there is no isolation series for Linux {series_name(version)} ({source.label})",
            next_step=f"there are some for {known}; docs/how-to/kernel-series.md shows how to port one",
        )
    return patches


def patch_numbered(number: str, source: KernelSource) -> Path:
    """A patch of the series for a source, by its number: `7` or `0007`. Raises ModcompatError."""
    patches = {patch.name[:4]: patch for patch in series_for(source)}
    if number.zfill(4) not in patches:
        raise ModcompatError(f"the series has no patch {number}", next_step=f"one of 1 to {len(patches)}")
    return patches[number.zfill(4)]


def apply(patch: Path, tree: Path) -> None:
    """Apply a patch to a source tree. Raises ModcompatError with the part that does not apply."""
    try:
        process.output(["patch", "-p1", "-d", tree, "--batch", "--forward", "--no-backup-if-mismatch", "-i", patch])
    except ProgramFailedError as error:
        theirs = "make it for this source, in the format of `patch -p1`"
        ours = "the tree differs from the version that the series was made for"
        raise ModcompatError(
            f"{patch.name} does not apply", details=error.details, next_step=ours if is_of_a_series(patch) else theirs
        ) from None
