// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proof that KASAN is live: this module is built for the debug kernel and so
 * instrumented. It reads one byte after an object; the kernel must report it.
 */
#include <linux/module.h>
#include <linux/slab.h>

#define SIZE 128

static int __init proof_init(void)
{
	char *object = kmalloc(SIZE, GFP_KERNEL);

	if (!object)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(object);
	READ_ONCE(object[SIZE]);
	kfree(object);
	return 0;
}

static void __exit proof_exit(void)
{
}

module_init(proof_init);
module_exit(proof_exit);

MODULE_DESCRIPTION("Reads behind an object of the slab allocator");
MODULE_LICENSE("GPL");
