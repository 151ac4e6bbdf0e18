// SPDX-License-Identifier: GPL-2.0-only
/*
 * struct task_struct and the structures that it points to: each member, read at
 * the offset in the module's headers, is compared with the result of a kernel
 * function for the same task.
 */
#include "vendor.h"

#include <linux/completion.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/fdtable.h>
#include <linux/fs_struct.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/magic.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/ptrace.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/smp.h>
#include <linux/uaccess.h>

/* Compare members without dereferencing a pointer, which might be wrong. */
static int run_members(void)
{
	struct pid_namespace *ns = task_active_pid_ns(current);
	struct pid *pid = get_task_pid(current, PIDTYPE_PID);
	const struct cred *cred = get_task_cred(current);
	struct mm_struct *mm = get_task_mm(current);
	char comm[TASK_COMM_LEN];
	int cpu;

	get_task_comm(comm, current);
	answer(strncmp(current->comm, comm, sizeof(comm)), 0, "members.comm");
	answer(current->pid, task_pid_nr_ns(current, ns), "members.pid");
	answer(current->tgid, task_tgid_nr_ns(current, ns), "members.tgid");
	answer_pointer(task_pid(current), pid, "members.struct_pid");
	answer_pointer(current->mm, mm, "members.mm");
	answer_pointer(current->active_mm, mm, "members.active_mm");
	answer_pointer(current_cred(), cred, "members.cred");
	answer_pointer(current_real_cred(), cred, "members.real_cred");
	answer_pointer(current->group_leader, current, "members.leader");
	answer(READ_ONCE(current->__state), TASK_RUNNING, "members.state");
	answer(current->flags & (PF_KTHREAD | PF_EXITING | PF_WQ_WORKER), 0, "members.flags");
	answer(task_nice(current), 0, "members.nice");
	answer(current->start_time > 0 && current->start_time <= ktime_get_ns(), true, "members.start_time");
	cpu = get_cpu();
	answer(task_cpu(current), cpu, "members.cpu");
	put_cpu();

	put_cred(cred);
	put_pid(pid);
	if (mm)
		mmput(mm);
	return 0;
}

/* The structures that the members point to */

static int run_cred(void)
{
	answer(__kuid_val(current_uid()), 0, "cred.uid");
	answer(__kgid_val(current_egid()), 0, "cred.egid");
	answer(in_egroup_p(current_fsgid()), true, "cred.group");
	answer(capable(CAP_SYS_ADMIN) && cap_raised(current_cap(), CAP_SYS_ADMIN), true, "cred.capable");
	answer_pointer(current_user_ns(), &init_user_ns, "cred.namespace");
	return 0;
}

static int run_mm(void)
{
	unsigned long here = user_stack_pointer(task_pt_regs(current));
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;

	mmap_read_lock(mm);
	answer(rwsem_is_locked(&mm->mmap_lock), true, "mm.lock");
	vma = find_vma(mm, here);
	answer(vma && vma->vm_start <= here && here < vma->vm_end, true, "mm.stack_area");
	answer_pointer(vma ? vma->vm_mm : NULL, mm, "mm.of_area");
	answer(mm->start_stack >= here && mm->start_stack < mm->task_size, true, "mm.start_stack");
	mmap_read_unlock(mm);
	answer(rwsem_is_locked(&mm->mmap_lock), false, "mm.unlock");
	return 0;
}

static int run_shared(void)
{
	struct pid *pid = get_task_pid(current, PIDTYPE_TGID);

	answer(current->fs->umask, current_umask(), "fs.umask");
	answer(current->fs->users, 1, "fs.users");
	answer(atomic_read(&current->files->count), 1, "files.users");
	answer_pointer(task_tgid(current), pid, "signal.pid");
	answer(get_nr_threads(current), 1, "signal.threads");
	answer(signal_pending(current), false, "signal.pending");
	answer(cpumask_test_cpu(raw_smp_processor_id(), current->cpus_ptr), true, "sched.mask");
	answer(*end_of_stack(current), STACK_END_MAGIC, "sched.stack");
	task_lock(current);
	answer(spin_is_locked(&current->alloc_lock), true, "task.lock");
	task_unlock(current);
	answer(spin_is_locked(&current->alloc_lock), false, "task.unlock");
	put_pid(pid);
	return 0;
}

/* Walk from this process to its parents, and over all processes. */

static int run_walk(void)
{
	struct task_struct *task;
	unsigned int self = 0, first = 0, threads = 0, alive = 0, count = 0;

	rcu_read_lock();
	for_each_process(task) {
		count++;
		self += task == current;
		first += task->pid == 1 && !strcmp(task->comm, "init");
		alive += pid_task(task_pid(task), PIDTYPE_PID) == task;
	}
	for_each_thread(current, task)
		threads++;
	for (task = current; task->pid > 1; task = rcu_dereference(task->real_parent))
		;
	rcu_read_unlock();
	answer(self, 1, "walk.self");
	answer(first, 1, "walk.first");
	answer(alive, count, "walk.alive");
	answer(threads, 1, "walk.threads");
	answer(task->pid, 1, "walk.parents");
	return 0;
}

/* A kernel thread's view of itself */

struct view {
	struct task_struct *created;
	struct completion seen;
};

static int look(void *data)
{
	struct view *view = data;

	answer_pointer(current, view->created, "kthread.current");
	answer(strcmp(current->comm, KBUILD_MODNAME "/1"), 0, "kthread.comm");
	answer_pointer(current->mm, NULL, "kthread.mm");
	answer(!!(current->flags & PF_KTHREAD), true, "kthread.flags");
	answer_pointer(kthread_data(current), data, "kthread.data");
	answer(task_pid_nr(current), task_pid_vnr(current), "kthread.pid");
	answer(task_ppid_nr(current), 2, "kthread.parent");
	answer(raw_smp_processor_id(), 1, "kthread.cpu");
	answer(cpumask_equal(current->cpus_ptr, cpumask_of(1)) && current->nr_cpus_allowed == 1, true, "kthread.mask");
	answer(task_nice(current), 5, "kthread.nice");
	complete(&view->seen);
	set_current_state(TASK_INTERRUPTIBLE);
	while (!kthread_should_stop()) {
		schedule();
		set_current_state(TASK_INTERRUPTIBLE);
	}
	__set_current_state(TASK_RUNNING);
	return 42;
}

static int run_kthread(void)
{
	struct view view = { .seen = COMPLETION_INITIALIZER_ONSTACK(view.seen) };

	view.created = kthread_create(look, &view, KBUILD_MODNAME "/1");
	if (IS_ERR(view.created))
		return PTR_ERR(view.created);
	kthread_bind(view.created, 1);
	set_user_nice(view.created, 5);
	answer(task_nice(view.created), 5, "kthread.nice_from_outside");
	wake_up_process(view.created);
	answer(wait_for_completion_timeout(&view.seen, 5 * HZ) > 0, true, "kthread.looked");
	answer(kthread_stop(view.created), 42, "kthread.returned");
	return 0;
}

/* Parameters that user space compares with its own view of the reading process */

static int count_one(const void *count, struct file *file, unsigned int fd)
{
	++*(unsigned long *)count;
	return 0;
}

static unsigned long open_files(void)
{
	unsigned long count = 0;

	iterate_fd(current->files, 0, count_one, &count);
	return count;
}
VENDOR_SHOWS(open_files);

static unsigned long file_limit(void)
{
	return rlimit(RLIMIT_NOFILE);
}
VENDOR_SHOWS(file_limit);

static unsigned long parent(void)
{
	return task_ppid_nr(current);
}
VENDOR_SHOWS(parent);

static unsigned long processes(void)
{
	struct task_struct *task;
	unsigned long count = 0;

	rcu_read_lock();
	for_each_process(task)
		count++;
	rcu_read_unlock();
	return count;
}
VENDOR_SHOWS(processes);

VENDOR_GROUPS(
	{ "members", run_members },
	{ "cred", run_cred },
	{ "mm", run_mm },
	{ "shared", run_shared },
	{ "walk", run_walk },
	{ "kthread", run_kthread },
);

VENDOR_MODULE(no_set_up, no_tear_down);
MODULE_DESCRIPTION("Vendor module that looks at tasks");
