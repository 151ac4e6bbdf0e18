// SPDX-License-Identifier: GPL-2.0-only
/*
 * Use of DEBUG_KOBJECT_RELEASE: this module is built for the debug kernel. It
 * drops the last reference to an object. The parameter `delayed` is the number
 * of objects whose release had not run when kobject_put() came back.
 */
#include <linux/kobject.h>
#include <linux/module.h>

static int delayed = 1;
module_param(delayed, int, 0444);

static bool put;

static void released(struct kobject *object)
{
	if (!READ_ONCE(put))
		delayed = 0;
}

static const struct kobj_type type = {
	.release = released,
};

static struct kobject object;

static int __init proof_init(void)
{
	int error = kobject_init_and_add(&object, &type, kernel_kobj, "modcompat");

	kobject_put(&object);
	WRITE_ONCE(put, true);
	return error;
}
module_init(proof_init);

MODULE_LICENSE("GPL");
