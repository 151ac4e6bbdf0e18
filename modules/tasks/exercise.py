# SPDX-License-Identifier: Apache-2.0
"""The exercise of the tasks module: task_struct at the module's offsets, at the kernel's, and from user space."""

from harness import Bench

ANNOUNCES = {"init": "tasks: init", "exit": "tasks: exit"}
TOUCHES = [
    "struct task_struct.comm",
    "struct task_struct.pid",
    "struct task_struct.cred",
    "struct task_struct.mm",
    "struct task_struct.files",
]

PARAMETERS_OF = "/sys/module/tasks/parameters"
MEMBERS = [
    f"members.{what}"
    for what in (
        "comm", "pid", "tgid", "struct_pid", "mm", "active_mm", "cred", "real_cred", "leader", "state", "flags", "nice",
        "start_time", "cpu",
    )
]  # fmt: skip
CRED = [f"cred.{what}" for what in ("uid", "egid", "group", "capable", "namespace")]
MM = [f"mm.{what}" for what in ("lock", "stack_area", "of_area", "start_stack", "unlock")]
SHARED = ["fs.umask", "fs.users", "files.users", "signal.pid", "signal.threads", "signal.pending"]
SHARED += ["sched.mask", "sched.stack", "task.lock", "task.unlock"]
WALK = [f"walk.{what}" for what in ("self", "first", "alive", "threads", "parents")]
KTHREAD = [
    f"kthread.{what}"
    for what in (
        "current", "comm", "mm", "flags", "data", "pid", "parent", "cpu", "mask", "nice", "nice_from_outside",
        "looked", "returned",
    )
]  # fmt: skip
FEW = 3  # processes that may start or end between the two counts


def exercise(bench: Bench) -> None:
    bench.module_checks("run", "members", MEMBERS)
    bench.module_checks("run", "cred", CRED)
    bench.module_checks("run", "mm", MM)
    bench.module_checks("run", "shared", SHARED)
    bench.module_checks("run", "walk", WALK)
    bench.module_checks("run", "kthread", KTHREAD)

    # `ls` has a directory open, and `cat` the parameter, so the numbers are the same.
    bench.expect("files.open", f"ls /proc/self/fd | wc -l; cat {PARAMETERS_OF}/open_files | cat", "4\n4")
    bench.expect("files.more", f"cat {PARAMETERS_OF}/open_files 6</dev/null 7</dev/null 9</dev/null | cat", "7")
    bench.expect("limit.files", f"ulimit -n 77; cat {PARAMETERS_OF}/file_limit", "77")
    bench.expect("ids.parent", f"sh -c '[ \"$(cat {PARAMETERS_OF}/parent)\" = $$ ] && echo mine; true'", "mine")
    # The shell itself reads the parameter, so that both counts are of the same processes.
    looks = bench.run(f"set -- /proc/[0-9]*; read -r n <{PARAMETERS_OF}/processes; echo $# $n").text.split()
    bench.check("walk.count", len(looks) == 2 and abs(int(looks[0]) - int(looks[1])) <= FEW, " ".join(looks))
