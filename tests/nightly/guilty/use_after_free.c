// SPDX-License-Identifier: GPL-2.0-only
/* A module that writes to memory that it has freed. */
#include <linux/module.h>
#include <linux/slab.h>

static noinline int use_after_free_run(void)
{
	char *memory = kmalloc(256, GFP_KERNEL);

	if (!memory)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(memory);
	kfree(memory);
	memory[100] = 1;
	return 0;
}

static int __init use_after_free_init(void)
{
	return use_after_free_run();
}

static void __exit use_after_free_exit(void)
{
}

module_init(use_after_free_init);
module_exit(use_after_free_exit);

MODULE_DESCRIPTION("A module that writes to memory that it has freed.");
MODULE_LICENSE("GPL");
