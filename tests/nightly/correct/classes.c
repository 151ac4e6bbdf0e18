// SPDX-License-Identifier: GPL-2.0-only
/* Registers a static class and a static bus, as drivers do, and unregisters both before it goes. */
#include <linux/device.h>
#include <linux/module.h>

static struct class class_of_ours = {
	.name = "class_of_ours",
};

static struct bus_type bus_of_ours = {
	.name = "bus_of_ours",
};

static int __init classes_init(void)
{
	int error = class_register(&class_of_ours);

	if (error)
		return error;
	error = bus_register(&bus_of_ours);
	if (error)
		class_unregister(&class_of_ours);
	return error;
}

static void __exit classes_exit(void)
{
	bus_unregister(&bus_of_ours);
	class_unregister(&class_of_ours);
}

module_init(classes_init);
module_exit(classes_exit);
MODULE_DESCRIPTION("Registers and unregisters what it has as static objects");
MODULE_LICENSE("GPL");
