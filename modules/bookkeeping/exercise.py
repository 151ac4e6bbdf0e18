# SPDX-License-Identifier: Apache-2.0
"""The exercise of the bookkeeping module: struct module, as seen by the module and by user space."""

from harness import Bench

ANNOUNCES = {"init": "bookkeeping: init", "exit": "bookkeeping: exit"}
TOUCHES = ["struct module.core_layout", "struct module.refcnt", "struct module.percpu"]
PARAMETERS = "number=42 flag=0 text=words numbers=1,2,3"

BSS = [f"bss.{when}" for when in ("at_init", "since_init", "filled")]
STRUCT = [
    f"struct.{what}"
    for what in (
        "init_ran", "name", "state", "core", "init_freed", "args", "kobject", "kobject_module", "parameters",
        "percpu_size",
    )
]  # fmt: skip
REFCOUNT = [f"refcount.{when}" for when in ("idle", "pairs", "held", "back")]
LOADED = [f"loaded.{what}" for what in ("number", "flag", "text", "array_size", "array", "array_rest")]
WRITTEN = [f"written.{what}" for what in ("number", "flag", "text", "array_size", "array")]
FOLDER = "/sys/module/bookkeeping"


def exercise(bench: Bench) -> None:
    bench.module_checks("run", "bss", BSS)
    bench.module_checks("run", "struct", STRUCT)
    bench.module_checks("run", "refcount", REFCOUNT)
    bench.module_checks("run", "loaded", LOADED)
    bench.module_checks("run", "percpu", ["percpu.start", "percpu.each"])

    shown = "for p in number flag text numbers; do cat parameters/$p; done"
    bench.expect("sysfs.read", f"cd {FOLDER}; {shown}", "42\nN\nwords\n1,2,3")
    changes = "echo -7 >number; echo Y >flag; echo others >text; echo 9,8,7,6 >numbers"
    bench.run(f"cd {FOLDER}/parameters; {changes}")
    bench.module_checks("run", "written", WRITTEN)
    bench.expect("sysfs.written", f"cd {FOLDER}; {shown}", "-7\nY\nothers\n\n9,8,7,6")

    bench.expect("sysfs.books", f"cd {FOLDER}; cat refcnt initstate taint", "0\nlive\nO")
    line = bench.run("grep '^bookkeeping ' /proc/modules").text
    bench.check("proc.modules", line.split()[2:5] == ["0", "-", "Live"], line)
    bench.check("proc.not_permanent", "[permanent]" not in line, line)
    bench.module_checks("run", "bss_again", ["bss.at_end"])
