# SPDX-License-Identifier: Apache-2.0
"""Write images/probe/headers.txt: the headers that modules include and that compile together in one file.

Candidates are the headers that potential modules include, in all kernels with an isolation series. A header is dropped
if it fails to compile in any of these kernels, production or isolated, on any architecture, or if it says nothing about
the ABI. Run this for a new kernel version; it takes half an hour and builds no kernel.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import product

from harness.abi.headers import probe
from harness.kernel.arch import ARCHITECTURES
from harness.kernel.config import KernelSpec
from harness.kernel.features import FEATURES
from harness.kernel.isolation_patches import isolated
from harness.kernel.module_headers import headers_of
from harness.kernel.source import KernelSource, find_source
from harness.kernel.variants import variant_of
from harness.kernel.versions import SERIES
from harness.support.cache.store import Store
from harness.support.paths import IMAGES

LIST = IMAGES / "probe/headers.txt"
STORE = Store()
CAN_BE_MODULES = ("block", "crypto", "drivers", "fs", "lib", "net", "security", "sound")
# Constants, headers that others include themselves, definitions of tracepoints, and tests
NOT_THESE = ("uapi/", "dt-bindings/", "asm-generic/", "vdso/", "trace/", "xen/interface/", "kunit/", "drm/drm_kunit")
CLASHES = {"linux/arm_sdei.h", "linux/cs5535.h"}  # with asm/stacktrace.h of arm64, with linux/gpio/machine.h
# Header for some architectures -> a header that only these have
NEEDED = {
    "clocksource/hyperv_timer.h": "asm/hyperv_timer.h",
    "linux/firmware/trusted_foundations.h": "asm/hardware/cache-l2x0.h",
    "linux/hyperv.h": "asm/hyperv-tlfs.h",
    "linux/irqchip/arm-gic-v3.h": "asm/arch_gicv3.h",
    "linux/kvm_host.h": "asm/kvm_host.h",
    "linux/mc146818rtc.h": "asm/mc146818rtc.h",
    "linux/perf/arm_pmu.h": "asm/cputype.h",
    "linux/perf/arm_pmuv3.h": "asm/arm_pmuv3.h",
    "linux/scx200_gpio.h": "asm/msr.h",
}
INCLUDED = re.compile(rb"^\s*#\s*include\s*<([\w./-]+\.h)>", re.MULTILINE)


def candidates(source: KernelSource) -> Iterator[str]:
    tree = source.tree()
    for folder in CAN_BE_MODULES:
        for file in (tree / folder).rglob("*.c"):
            for name in map(bytes.decode, INCLUDED.findall(file.read_bytes())):
                if not name.startswith(NOT_THESE) and (tree / "include" / name).is_file():
                    yield name


def write(names: Iterable[str]) -> None:
    LIST.write_text("".join(f"{name} {NEEDED.get(name, '')}".rstrip() + "\n" for name in names))


def main() -> None:
    sources = [find_source(series.package, STORE) for series in SERIES.values()]
    found = sorted({name for source in sources for name in candidates(source)} - CLASHES)
    # Of two headers that clash, the later one is dropped, so those that almost all others need come first.
    names = [name for name in found if name.startswith("linux/")]
    probed = sorted({name for arch in ARCHITECTURES.values() for name in arch.probed_headers})
    names += [f"asm/{name}.h" for name in probed]
    names += [name for name in found if not name.startswith("linux/")]
    everything = variant_of(FEATURES["all"], isolated=True)
    supported = [arch for arch in ARCHITECTURES.values() if arch.has_isolation]
    for source, arch in product(sources, supported):
        for tree, variant in ((source, everything.production), (isolated(source, STORE), everything)):
            write(names)
            left_out = probe.headers_left_out(headers_of(KernelSpec(arch, tree, variant), STORE), STORE)
            names = [name for name in names if name not in left_out]
    write(names)


if __name__ == "__main__":
    main()
