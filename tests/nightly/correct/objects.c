// SPDX-License-Identifier: GPL-2.0-only
/*
 * Has static objects, each the parent of the next one. It drops them all before it goes, and nobody else has them.
 *
 * A module's own objects in sysfs keep it for 8 seconds at most with DEBUG_KOBJECT_RELEASE, and each of these takes one
 * second at least.
 */
#include <linux/kobject.h>
#include <linux/module.h>

#define NR_OBJECTS	10

static struct kobject objects[NR_OBJECTS];

static void release(struct kobject *object)
{
}

static struct kobj_type type = {
	.release = release,
	.sysfs_ops = &kobj_sysfs_ops,
};

static void put_objects(int count)
{
	while (count--)
		kobject_put(&objects[count]);
}

static int __init objects_init(void)
{
	int i, error;

	for (i = 0; i < NR_OBJECTS; i++) {
		error = kobject_init_and_add(&objects[i], &type, i ? &objects[i - 1] : kernel_kobj, "object%d", i);
		if (error) {
			put_objects(i + 1);
			return error;
		}
	}
	return 0;
}

static void __exit objects_exit(void)
{
	put_objects(NR_OBJECTS);
}

module_init(objects_init);
module_exit(objects_exit);
MODULE_DESCRIPTION("Has static objects in each other");
MODULE_LICENSE("GPL");
