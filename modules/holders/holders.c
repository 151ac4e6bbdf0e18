// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module that another one, holders_user, depends on: the reference count and
 * the lists of users that the kernel keeps in struct module.
 */
#include "vendor.h"

#include <linux/list.h>

#include "holders.h"

int holders_square(int number)
{
	return number * number;
}
EXPORT_SYMBOL_GPL(holders_square);

static int run_idle(void)
{
	answer(module_refcount(THIS_MODULE), 0, "idle.refcount");
	answer(list_empty(&THIS_MODULE->source_list), true, "idle.users");
	answer(list_empty(&THIS_MODULE->target_list), true, "idle.used");
	return 0;
}

static int run_used(void)
{
	struct module_use *use;
	unsigned int count = 0, known = 0;

	answer(module_refcount(THIS_MODULE), 1, "used.refcount");
	list_for_each_entry(use, &THIS_MODULE->source_list, source_list) {
		count++;
		known += use->target == THIS_MODULE && !strcmp(use->source->name, KBUILD_MODNAME "_user");
	}
	answer(count, 1, "used.users");
	answer(known, 1, "used.known");
	return 0;
}

VENDOR_GROUPS(
	{ "idle", run_idle },
	{ "used", run_used },
);

VENDOR_MODULE(no_set_up, no_tear_down);
MODULE_DESCRIPTION("Vendor module that another one depends on");
