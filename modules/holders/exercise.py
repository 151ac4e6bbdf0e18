# SPDX-License-Identifier: Apache-2.0
"""The exercise of the holders module: a second module that depends on it is loaded and unloaded."""

from harness import Bench

ANNOUNCES = {"init": "holders: init", "exit": "holders: exit"}
TOUCHES = ["struct module.source_list", "struct module.target_list"]

USER = "holders_user"
IDLE = [f"idle.{what}" for what in ("refcount", "users", "used")]
USED = [f"used.{what}" for what in ("refcount", "users", "known")]
USE = [f"use.{what}" for what in ("answer", "targets", "known")]


def exercise(bench: Bench) -> None:
    bench.module_checks("run", "idle", IDLE)
    loaded = bench.run(f"insmod /modules/{USER}.ko")
    bench.check("user.load", loaded.status == 0, loaded.text)
    bench.check("user.init", f"{USER}: init" in bench.log())
    bench.module_checks("run", "use", USE, module=USER)
    bench.module_checks("run", "used", USED)
    bench.expect("user.shown", "cd /sys/module/holders; ls holders; cat refcnt", f"{USER}\n1")
    line = bench.run("grep '^holders ' /proc/modules").text
    bench.check("proc.used", line.split()[2:5] == ["1", f"{USER},", "Live"], line)

    refused = bench.run("rmmod holders")
    bench.check("remove.refused", refused.status != 0 and "unavailable" in refused.text, refused.text)
    unloaded = bench.run(f"rmmod {USER}")
    bench.check("user.unload", unloaded.status == 0, unloaded.text)
    bench.check("user.exit", f"{USER}: exit" in bench.log())
    bench.expect("user.gone", "cd /sys/module/holders; ls holders; cat refcnt", "0")
    line = bench.run("grep '^holders ' /proc/modules").text
    bench.check("proc.idle", line.split()[2:5] == ["0", "-", "Live"], line)
