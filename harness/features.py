"""The debug features. Adding one is adding an entry, a Kconfig fragment and a proof module."""

from dataclasses import dataclass
from pathlib import Path

from harness.paths import IMAGES, KCONFIG


@dataclass(frozen=True)
class Feature:
    """One debug capability.

    symbols: what the fragment switches on. follows: further symbols that Kconfig changes because of them,
    the allow list of the config gate: each entry says why it may differ. proof: the violation that the
    proof module commits, as the kernel reports it (kind and a part of the title).
    """

    name: str
    symbols: tuple[str, ...]
    follows: dict[str, str]
    proof_kind: str
    proof_title: str

    @property
    def fragment(self) -> Path:
        return KCONFIG / "feature" / f"{self.name}.config"

    @property
    def proof_module(self) -> Path:
        """Folder of a module, built for the feature's own kernel, that commits the violation."""
        return IMAGES / "proof" / self.name


_NOT_INLINE = "kernel/Kconfig.locks: every INLINE_* lock function needs !DEBUG_SPINLOCK"

FEATURES = {
    feature.name: feature
    for feature in (
        Feature(
            name="spinlock",
            symbols=("DEBUG_SPINLOCK",),
            follows={
                "UNINLINE_SPIN_UNLOCK": "lib/Kconfig.debug: selected by DEBUG_SPINLOCK",
                **{
                    f"INLINE_{kind}_{call}": _NOT_INLINE
                    for kind in ("SPIN", "READ", "WRITE")
                    for call in (
                        "TRYLOCK", "TRYLOCK_BH", "LOCK", "LOCK_BH", "LOCK_IRQ", "LOCK_IRQSAVE",
                        "UNLOCK", "UNLOCK_BH", "UNLOCK_IRQ", "UNLOCK_IRQRESTORE",
                    )
                },
            },
            proof_kind="lock",
            proof_title="spinlock already unlocked",
        ),
    )
}  # fmt: skip
