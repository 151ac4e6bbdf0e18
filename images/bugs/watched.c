// SPDX-License-Identifier: GPL-2.0-only
/*
 * Work for tools to watch: writing a number to the parameter "work" makes that
 * many calls of watched_work(), each of which spins for a tick or less.
 */
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/sched.h>

static noinline void watched_work(void)
{
	/* Spin in the module itself, where samples must find it. */
	unsigned long end = jiffies + 1;

	while (time_before(jiffies, end))
		barrier();
}

static int watched_set(const char *value, const struct kernel_param *parameter)
{
	unsigned int calls;
	int error = kstrtouint(value, 0, &calls);

	while (!error && calls--) {
		watched_work();
		cond_resched();
	}
	return error;
}

static const struct kernel_param_ops watched_ops = { .set = watched_set };

module_param_cb(work, &watched_ops, NULL, 0200);

static int __init watched_init(void)
{
	return 0;
}

static void __exit watched_exit(void)
{
}

module_init(watched_init);
module_exit(watched_exit);

MODULE_DESCRIPTION("Work to watch");
MODULE_LICENSE("GPL");
