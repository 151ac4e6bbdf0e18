// SPDX-License-Identifier: GPL-2.0-only
/*
 * Leaves a mutex that it named, as an object that the kernel frees later may
 * have one.
 */
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>

struct left {
	struct mutex outliving;
};

static int __init outliving_init(void)
{
	struct left *object = kmalloc(sizeof(*object), GFP_KERNEL);

	if (!object)
		return -ENOMEM;
	mutex_init(&object->outliving);
	mutex_lock(&object->outliving);
	mutex_unlock(&object->outliving);
	return 0;
}
module_init(outliving_init);

static void __exit outliving_exit(void)
{
}
module_exit(outliving_exit);

MODULE_DESCRIPTION("Leaves a mutex behind");
MODULE_LICENSE("GPL");
