// SPDX-License-Identifier: GPL-2.0-only
/* A module that frees its memory twice. */
#include <linux/module.h>
#include <linux/slab.h>

static noinline int double_free_run(void)
{
	char *memory = kmalloc(256, GFP_KERNEL);

	if (!memory)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(memory);
	kfree(memory);
	kfree(memory);
	return 0;
}

static int __init double_free_init(void)
{
	return double_free_run();
}

static void __exit double_free_exit(void)
{
}

module_init(double_free_init);
module_exit(double_free_exit);

MODULE_DESCRIPTION("A module that frees its memory twice.");
MODULE_LICENSE("GPL");
