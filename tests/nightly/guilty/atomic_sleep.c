// SPDX-License-Identifier: GPL-2.0-only
/* A module that sleeps while it holds a spinlock. */
#include <linux/module.h>
#include <linux/spinlock.h>
#include <linux/delay.h>

static DEFINE_SPINLOCK(lock);

static noinline void atomic_sleep_run(void)
{
	spin_lock(&lock);
	msleep(10);
	spin_unlock(&lock);
}

static int __init atomic_sleep_init(void)
{
	atomic_sleep_run();
	return 0;
}

static void __exit atomic_sleep_exit(void)
{
}

module_init(atomic_sleep_init);
module_exit(atomic_sleep_exit);

MODULE_DESCRIPTION("A module that sleeps while it holds a spinlock.");
MODULE_LICENSE("GPL");
