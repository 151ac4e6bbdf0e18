// SPDX-License-Identifier: GPL-2.0-only
/* A module that looks for a function that only a kernel with DEBUG_SPINLOCK exports, and then does something else. */
#include <linux/module.h>

extern void __raw_spin_lock_init(void) __weak;

static int __init differs_init(void)
{
	if (__raw_spin_lock_init) {
		pr_info("differs: this kernel debugs spinlocks\n");
		return -EBUSY;
	}
	return -ENODEV;
}

static void __exit differs_exit(void)
{
}

module_init(differs_init);
module_exit(differs_exit);
MODULE_DESCRIPTION("Differs on a debug kernel");
MODULE_LICENSE("GPL");
