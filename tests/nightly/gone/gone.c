// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads behind memory from vmalloc() and frees it. As the module does not stay
 * loaded, the kernel takes back the address, and its shadow with it, before
 * the load ends.
 */
#include <linux/module.h>
#include <linux/vmalloc.h>

#define SIZE	(1 << 20)	/* bytes: more than a page of shadow on both sides of its end */

static int __init gone_init(void)
{
	char *memory = vmalloc(SIZE - 16);

	if (!memory)
		return -ENOMEM;
	(void)READ_ONCE(memory[SIZE - 8]);
	vfree(memory);
	return -ENODEV;
}

static void __exit gone_exit(void)
{
}

module_init(gone_init);
module_exit(gone_exit);

MODULE_DESCRIPTION("Reads behind memory that is gone when the load ends");
MODULE_LICENSE("GPL");
