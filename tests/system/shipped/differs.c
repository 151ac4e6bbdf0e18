// SPDX-License-Identifier: GPL-2.0-only
/* A module that looks for something that only a kernel with DEBUG_SPINLOCK exports, and then does something else. */
#include <linux/module.h>

static int __init differs_init(void)
{
	if (__symbol_get("do_raw_spin_lock")) {
		pr_info("differs: this kernel debugs spinlocks\n");
		__symbol_put("do_raw_spin_lock");
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
