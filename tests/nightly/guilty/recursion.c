// SPDX-License-Identifier: GPL-2.0-only
/* A module that takes a spinlock that it holds. */
#include <linux/module.h>
#include <linux/spinlock.h>

static DEFINE_SPINLOCK(lock);

static noinline void take_again(void)
{
	spin_lock(&lock);
	spin_unlock(&lock);
}

static noinline void recursion_run(void)
{
	spin_lock(&lock);
	take_again();
	spin_unlock(&lock);
}

static int __init recursion_init(void)
{
	recursion_run();
	return 0;
}

static void __exit recursion_exit(void)
{
}

module_init(recursion_init);
module_exit(recursion_exit);

MODULE_DESCRIPTION("A module that takes a spinlock that it holds.");
MODULE_LICENSE("GPL");
