// SPDX-License-Identifier: GPL-2.0-only
/* A module that panics the kernel in its init. */
#include <linux/module.h>
#include <linux/panic.h>

static int __init init_panics_init(void)
{
	panic("this is the end");
	return 0;
}

static void __exit init_panics_exit(void)
{
}

module_init(init_panics_init);
module_exit(init_panics_exit);

MODULE_DESCRIPTION("A module that panics the kernel in its init.");
MODULE_LICENSE("GPL");
