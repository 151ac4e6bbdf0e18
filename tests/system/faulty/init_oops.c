// SPDX-License-Identifier: GPL-2.0-only
/* A module that writes through a null pointer in its init. */
#include <linux/module.h>


static int __init init_oops_init(void)
{
	*(volatile int *)8 = 1;
	return 0;
}

static void __exit init_oops_exit(void)
{
}

module_init(init_oops_init);
module_exit(init_oops_exit);

MODULE_DESCRIPTION("A module that writes through a null pointer in its init.");
MODULE_LICENSE("GPL");
