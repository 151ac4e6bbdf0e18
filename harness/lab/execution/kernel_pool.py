# SPDX-License-Identifier: Apache-2.0
"""The kernels of one run, each found or built once, and everything about them that needs no guest."""

from dataclasses import replace
from pathlib import Path

from harness.abi.compare.layout_diff import LayoutDiff
from harness.abi.elf.module_file import ModuleFacts
from harness.abi.predict.prediction import Prediction
from harness.abi.predict.predictor import Predictor
from harness.guest.boards import Board
from harness.kernel.build import Kernel, build_kernel, find_kernel
from harness.kernel.config import KernelSpec, distinct
from harness.kernel.isolation_patches import kernel_spec, patched
from harness.kernel.module_headers import Headers, headers_of
from harness.kernel.prebuilt import Prebuilt, kernel_of, prebuilt_headers, spec_of
from harness.kernel.shipped import require_source
from harness.kernel.source import KernelSource, find_source, is_known
from harness.kernel.variants import Variant
from harness.lab.plan.module_index import ModuleIndex, index_folder, indexed
from harness.lab.plan.settings import Settings
from harness.support.cache.store import Store
from harness.support.errors import ModcompatError


def find_users_source(settings: Settings, store: Store) -> KernelSource:
    """The source that a run's kernels are built from, with the user-supplied patches applied."""
    return patched(find_source(settings.source, store), settings.patches, store)


class Kernels:
    """Finds and builds kernels by board and variant."""

    def __init__(self, settings: Settings, store: Store | None = None) -> None:
        self.settings = settings
        self.store = store or Store()
        self._source: KernelSource | None = None
        self._specs: dict[tuple[str, str], KernelSpec] = {}
        self._kernels: dict[str, Kernel] = {}  # by label, prebuilt ones by architecture and variant
        self._own_modules: dict[tuple[str, str], ModuleIndex] = {}
        self._headers: dict[tuple[str, str], Headers | None] = {}
        self._unobtainable: dict[tuple[str, str], ModcompatError] = {}
        self._predictor = Predictor(self.store)

    def kernel(self, board: Board, variant: Variant) -> Kernel:
        """A kernel for a board, built if it is not cached. Raises ModcompatError if it cannot be built."""
        name = (board.arch.name, variant.name)
        if name in self._unobtainable:
            raise self._unobtainable[name]
        try:
            return self._kernel(board, variant)
        except ModcompatError as error:
            self._unobtainable[name] = error  # the next cell would only fail in the same way
            raise

    def _kernel(self, board: Board, variant: Variant) -> Kernel:
        prebuilt, spec = self.prebuilt(board, variant), self.spec(board, variant)
        name = f"prebuilt {board.arch.name} {variant.name}" if prebuilt else spec.label
        if name not in self._kernels:
            self._kernels[name] = kernel_of(prebuilt, self.store) if prebuilt else build_kernel(spec, self.store)
        return self._kernels[name]

    def is_ready(self, board: Board, variant: Variant) -> bool:
        """Whether a kernel needs neither a build nor a download."""
        if self.prebuilt(board, variant):
            return True
        try:
            return self.has_source() and self.cached_kernel(board, variant) is not None
        except ModcompatError:
            return False

    def has_source(self) -> bool:
        """Whether the kernel source is known without fetching it."""
        return is_known(self.settings.source, self.store)

    def cached_kernel(self, board: Board, variant: Variant) -> Kernel | None:
        return find_kernel(self.spec(board, variant), self.store)

    def prebuilt(self, board: Board, variant: Variant) -> Prebuilt | None:
        """The user-supplied kernel that stands for a variant; None if there is none."""
        return self.settings.prebuilt.get((board.arch.name, variant.name))

    def spec(self, board: Board, variant: Variant) -> KernelSpec:
        """The kernel of a variant: production itself if the feature changes nothing."""
        if prebuilt := self.prebuilt(board, variant):
            return spec_of(prebuilt)
        return self._built_spec(board, variant)

    def _built_spec(self, board: Board, variant: Variant) -> KernelSpec:
        """The kernel of a variant as it would be built, even if a prebuilt one stands for it."""
        if self._source is None:
            source = find_users_source(self.settings, self.store)
            for shipped in self.settings.shipped.values():
                require_source(shipped, source)
            self._source = source
        key = (board.arch.name, variant.name)
        if key not in self._specs:
            spec = kernel_spec(
                board.arch, self._source, variant, self.store,
                versions=self.settings.versions, user_config=self.settings.configs.get(board.arch.name),
            )  # fmt: skip
            self._specs[key] = distinct(spec, self.store)
        return self._specs[key]

    def own_modules(self, board: Board, variant: Variant) -> ModuleIndex:
        """The modules that came with a kernel. A shipped production's are those of its debug kernels, too."""
        shipped = self.settings.shipped.get(board.arch.name)
        folder = shipped.modules if shipped else None
        key = (board.arch.name, "" if folder else variant.name)
        if key not in self._own_modules:
            self._own_modules[key] = (
                index_folder(folder, self.store)
                if folder
                else ModuleIndex(map(indexed, self.kernel(board, variant).own_modules.values()))
            )
        return self._own_modules[key]

    def headers(self, board: Board, variant: Variant) -> Headers | None:
        """The headers that modules of a kernel are compiled with; None for a prebuilt kernel without a build tree."""
        key = (board.arch.name, variant.name)
        if key not in self._headers:
            prebuilt = self.prebuilt(board, variant)
            # A shipped kernel has no build tree, but its source and configuration, which headers are made of
            has_source = not prebuilt or (prebuilt.config.shipped and not prebuilt.build_tree)
            ours = headers_of(self._built_spec(board, variant), self.store) if has_source else None
            self._headers[key] = prebuilt_headers(prebuilt) if prebuilt and not has_source else ours
        return self._headers[key]

    def difference(self, board: Board, variant: Variant) -> LayoutDiff | None:
        """The difference between the layouts of production and of a kernel; None if one has no headers.

        If production is prebuilt and ships no headers, headers generated from its configuration are used instead.
        Raises ModcompatError.
        """
        kernel, production = self.headers(board, variant), self.headers(board, variant.production)
        if not production and not self.prebuilt(board, variant):
            production = headers_of(self.spec(board, variant).production, self.store)
        if not production or not kernel:
            return None
        return self._predictor.difference(production, kernel)

    def predict(
        self, file: Path, module: ModuleFacts, board: Board, variant: Variant, *, briefly: bool = False
    ) -> Prediction | None:
        """Predict the verdict of a module on a kernel of a board. briefly: without findings after a failed load.

        None if that kernel or its production is prebuilt without a build tree. Raises ModcompatError if headers cannot
        be made.
        """
        production, kernel = self.headers(board, variant.production), self.headers(board, variant)
        if not production or not kernel:
            return None
        module = replace(module, forced=self.settings.forces(variant))
        return self._predictor.predict(file, module, production, kernel, briefly=briefly)
