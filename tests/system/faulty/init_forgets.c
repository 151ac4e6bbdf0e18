// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module whose init forgets memory that it allocated. Several objects, as one may have left its address on a stack.
 * They are written to: kmemleak then reports an object only in the second scan after its allocation.
 */
#include <linux/module.h>
#include <linux/slab.h>

static noinline void init_forgets_some(void)
{
	void *forgotten;
	int i;

	for (i = 0; i < 16; i++) {
		forgotten = kmalloc(64, GFP_KERNEL);
		if (forgotten)
			memset(forgotten, 0x5a, 64);
		barrier_data(forgotten);
	}
}

static int __init init_forgets_init(void)
{
	init_forgets_some();
	return 0;
}

static void __exit init_forgets_exit(void)
{
}

module_init(init_forgets_init);
module_exit(init_forgets_exit);

MODULE_DESCRIPTION("A module whose init forgets memory that it allocated.");
MODULE_LICENSE("GPL");
