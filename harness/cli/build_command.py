# SPDX-License-Identifier: Apache-2.0
"""modcompat build."""

from typing import Any

import click

from harness.cli.cluster_runs import CLUSTER, build_tasks, collect, files_in
from harness.cli.kernel_options import kernel_options, settings_of, variant_on
from harness.cli.param_types import KERNEL
from harness.kernel.arch import ARCHITECTURES, X86_64
from harness.kernel.user_config import require_for
from harness.lab.execution.kernel_pool import Kernels
from harness.lab.plan.cells import DEFAULT_BOARDS
from harness.support.cluster.cluster import Cluster


@click.command()
@click.argument("kernels", nargs=-1, required=True, type=KERNEL)
@click.option(
    "--arch",
    "arches",
    multiple=True,
    type=click.Choice(list(ARCHITECTURES)),
    help=f"Architectures (repeatable).  [default: {X86_64.name}]",
)
@CLUSTER
@kernel_options
def build(*, kernels: tuple[str, ...], arches: tuple[str, ...], cluster: str | None, **chosen: Any) -> None:
    """Build kernels into the cache and print where they are.

    KERNELS are names: production, stock-spinlock, isolated-all ... Without --arch, they are built for the architectures
    of --config and the manifest, or else for x86_64. With --cluster, they are built into the caches of its workers.

    Exit status: 0, or 2 if a kernel cannot be built.
    """
    settings, _ = settings_of(**chosen)
    wanted = set(arches or settings.configs or [X86_64.name])
    require_for(wanted, settings.configs)
    variants = [variant_on(name, settings) for name in kernels]
    pairs = [(board, variant) for board in DEFAULT_BOARDS if board.arch.name in wanted for variant in variants]
    if cluster:
        with Cluster(cluster) as workers:
            collect(workers, build_tasks(pairs, settings, files_in(settings)))
        return
    known = Kernels(settings)
    for board, variant in pairs:
        kernel = known.kernel(board, variant)
        click.echo(f"{board.arch.name} {variant.name} {kernel.release}: {kernel.folder}")
