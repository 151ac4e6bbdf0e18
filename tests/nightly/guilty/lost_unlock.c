// SPDX-License-Identifier: GPL-2.0-only
/* A module that forgets to unlock. */
#include <linux/module.h>
#include <linux/mutex.h>

static DEFINE_MUTEX(lost_lock);
static int lost_count;

static noinline void lost_unlock_run(void)
{
	mutex_lock(&lost_lock);
	WRITE_ONCE(lost_count, 1);
}

static int __init lost_unlock_init(void)
{
	lost_unlock_run();
	return 0;
}

static void __exit lost_unlock_exit(void)
{
}

module_init(lost_unlock_init);
module_exit(lost_unlock_exit);

MODULE_DESCRIPTION("A module that forgets to unlock.");
MODULE_LICENSE("GPL");
