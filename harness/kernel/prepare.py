"""A build tree that modules can be compiled against, without building the kernel."""

from pathlib import Path

from harness import process
from harness.kernel.build import find_kernel, keep_build_tree, kernel_inputs, make_command
from harness.kernel.config import KernelSpec
from harness.kernel.toolchain import environment
from harness.progress import task
from harness.store import Store


def build_tree(spec: KernelSpec, store: Store) -> Path:
    """The build tree of a kernel: of the built one where it is cached, else of `make modules_prepare`."""
    kernel = find_kernel(spec, store)
    if kernel:
        return kernel.build_tree
    inputs = kernel_inputs(spec, store)

    def build(folder: Path) -> None:
        output = folder / "output"
        output.mkdir()
        (output / ".config").write_text(str(inputs["config"]))
        with task(f"preparing the {spec.title} for modules", 60) as running:
            process.run(
                [*make_command(spec.source.tree(), output), "modules_prepare"],
                env=environment(spec.arch),
                log=folder / "prepare.log",
                what=f"preparing the {spec.title}",
                on_line=lambda line: running.step() if line.startswith("  ") else None,
            )
        keep_build_tree(output, folder / "build", spec.arch)

    return store.get_or_build("prepared", spec.label, inputs, build) / "build"
