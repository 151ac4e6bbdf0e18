// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver of a character device whose struct cdev is in memory of the driver: nobody has the device open when it goes,
 * so that nobody has the memory when it is freed. It also has an object in sysfs, and then another one of that name. The
 * second one is dropped by work that does nothing else: where frame pointers are not needed, the compiler has it jump.
 */
#include <linux/cdev.h>
#include <linux/fs.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

struct device_state {
	struct cdev cdev;
};

static const struct file_operations operations = {
	.owner = THIS_MODULE,
};

static int add_and_delete_device(void)
{
	struct device_state *state = kzalloc(sizeof(*state), GFP_KERNEL);
	dev_t number;
	int error;

	if (!state)
		return -ENOMEM;
	error = alloc_chrdev_region(&number, 0, 1, "dropped");
	if (error)
		goto out;
	cdev_init(&state->cdev, &operations);
	error = cdev_add(&state->cdev, number, 1);
	if (!error)
		cdev_del(&state->cdev);
	unregister_chrdev_region(number, 1);
out:
	kfree(state);
	return error;
}

static int add_and_put_object(void)
{
	struct kobject *object = kobject_create_and_add("dropped", kernel_kobj);

	if (!object)
		return -ENOMEM;
	kobject_put(object);
	return 0;
}

static struct kobject *object_of_work;

static void put_object(struct work_struct *work)
{
	kobject_put(object_of_work);
}

static DECLARE_WORK(putting, put_object);

static int add_and_have_put(void)
{
	object_of_work = kobject_create_and_add("dropped", kernel_kobj);
	if (!object_of_work)
		return -ENOMEM;
	schedule_work(&putting);
	flush_work(&putting);
	return 0;
}

static int __init dropped_init(void)
{
	return add_and_delete_device() ?: add_and_put_object() ?: add_and_have_put() ?: add_and_put_object();
}

static void __exit dropped_exit(void)
{
}

module_init(dropped_init);
module_exit(dropped_exit);
MODULE_DESCRIPTION("Frees what it has dropped the last reference to");
MODULE_LICENSE("GPL");
