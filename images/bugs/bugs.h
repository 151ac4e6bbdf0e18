/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Common parts of the modules with deliberate bugs. Each module has a table of
 * bugs, and its init commits the one named by the parameter "bug", on CPU 0.
 * A bug that would hang ends after a while, so that the guest survives.
 */
#ifndef BUGS_H
#define BUGS_H

#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/irqflags.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/timer.h>

struct bug {
	const char *name;
	void (*commit)(void);
};

/* Long enough that the kernel reports the recursion before the lock is released */
#define A_WHILE		(HZ)

struct errand {
	void (*run)(void);
	struct completion done;
};

static inline int bug_errand(void *data)
{
	struct errand *errand = data;

	errand->run();
	complete(&errand->done);
	return 0;
}

/* Run a function in another task on a CPU, and wait until it returns. */
static inline void by_another_task(unsigned int cpu, void (*run)(void))
{
	struct errand errand = { .run = run };
	struct task_struct *task;

	init_completion(&errand.done);
	task = kthread_create(bug_errand, &errand, "another");
	if (IS_ERR(task))
		return;
	kthread_bind(task, cpu);
	wake_up_process(task);
	wait_for_completion(&errand.done);
}

/* Flags for releasing a lock that was never taken */
static inline unsigned long flags_as_they_are(void)
{
	unsigned long flags;

	local_save_flags(flags);
	return flags;
}

static inline void move_to(unsigned int cpu)
{
	set_cpus_allowed_ptr(current, cpumask_of(cpu));
}

#define BUGS(...)								\
static const struct bug bugs[] = { __VA_ARGS__ };				\
										\
static char *bug = "";								\
module_param(bug, charp, 0);							\
										\
static int __init bugs_init(void)						\
{										\
	size_t i;								\
										\
	move_to(0);								\
	for (i = 0; i < ARRAY_SIZE(bugs); i++) {				\
		if (!strcmp(bug, bugs[i].name)) {				\
			bugs[i].commit();					\
			return 0;						\
		}								\
	}									\
	return -EINVAL;								\
}										\
module_init(bugs_init);								\
										\
static void __exit bugs_exit(void)						\
{										\
}										\
module_exit(bugs_exit);								\
										\
MODULE_LICENSE("GPL")

#endif
