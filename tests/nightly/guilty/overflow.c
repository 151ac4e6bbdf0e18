// SPDX-License-Identifier: GPL-2.0-only
/* A module that writes one byte behind its memory. */
#include <linux/module.h>
#include <linux/slab.h>

static noinline int overflow_run(void)
{
	char *memory = kmalloc(256, GFP_KERNEL);

	if (!memory)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(memory);
	memory[256] = 1;
	kfree(memory);
	return 0;
}

static int __init overflow_init(void)
{
	return overflow_run();
}

static void __exit overflow_exit(void)
{
}

module_init(overflow_init);
module_exit(overflow_exit);

MODULE_DESCRIPTION("A module that writes one byte behind its memory.");
MODULE_LICENSE("GPL");
