// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proof that SLUB's checks are live: this module writes one byte after an object,
 * into its red zone. The kernel must report it when the object is freed.
 */
#include <linux/module.h>
#include <linux/slab.h>

#define SIZE 128 /* of a cache, so that nothing is between object and red zone */

static int __init proof_init(void)
{
	char *object = kmalloc(SIZE, GFP_KERNEL);

	if (!object)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(object);
	object[SIZE] = 0;
	kfree(object);
	return 0;
}

static void __exit proof_exit(void)
{
}

module_init(proof_init);
module_exit(proof_exit);

MODULE_DESCRIPTION("Writes behind an object of the slab allocator");
MODULE_LICENSE("GPL");
