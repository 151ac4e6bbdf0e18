// SPDX-License-Identifier: GPL-2.0-only
/*
 * Measures operations of the kernel from within a module. Writing the name of
 * an operation to the parameter "run" performs it "rounds" times; "ns" then
 * shows the total time.
 */
#include <linux/irqflags.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/spinlock.h>
#include <linux/string.h>

static DEFINE_SPINLOCK(spin);
static DEFINE_RWLOCK(rw);
static unsigned long flags;

static void nothing(void)
{
	barrier();
}

static void spin_lock_pair(void)
{
	spin_lock(&spin);
	spin_unlock(&spin);
}

static void spin_irqsave_pair(void)
{
	spin_lock_irqsave(&spin, flags);
	spin_unlock_irqrestore(&spin, flags);
}

static void read_pair(void)
{
	read_lock(&rw);
	read_unlock(&rw);
}

static void write_pair(void)
{
	write_lock(&rw);
	write_unlock(&rw);
}

static const struct {
	const char *name;
	void (*run)(void);
} operations[] = {
	{ "nothing", nothing },
	{ "spin_lock", spin_lock_pair },
	{ "spin_lock_irqsave", spin_irqsave_pair },
	{ "read_lock", read_pair },
	{ "write_lock", write_pair },
};

static unsigned int rounds = 1;
module_param(rounds, uint, 0400);

static unsigned long long ns;
module_param(ns, ullong, 0400);

static int cost_run(const char *value, const struct kernel_param *parameter)
{
	unsigned int i, round;
	ktime_t start;

	for (i = 0; i < ARRAY_SIZE(operations); i++) {
		if (!sysfs_streq(value, operations[i].name))
			continue;
		start = ktime_get();
		for (round = 0; round < rounds; round++)
			operations[i].run();
		ns = ktime_to_ns(ktime_sub(ktime_get(), start));
		return 0;
	}
	return -EINVAL;
}

static const struct kernel_param_ops cost_ops = { .set = cost_run };

module_param_cb(run, &cost_ops, NULL, 0200);

static int __init cost_init(void)
{
	return 0;
}

static void __exit cost_exit(void)
{
}

module_init(cost_init);
module_exit(cost_exit);

MODULE_DESCRIPTION("Times operations of the kernel");
MODULE_LICENSE("GPL");
