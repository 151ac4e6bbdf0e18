// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module that depends on another one, holders: it calls an exported function
 * of holders and finds it in the list of modules that it uses.
 */
#include "vendor.h"

#include <linux/list.h>

#include "holders.h"

static int run_use(void)
{
	struct module_use *use;
	unsigned int count = 0, known = 0;

	answer(holders_square(7), 49, "use.answer");
	list_for_each_entry(use, &THIS_MODULE->target_list, target_list) {
		count++;
		known += use->source == THIS_MODULE && !strcmp(use->target->name, "holders");
	}
	answer(count, 1, "use.targets");
	answer(known, 1, "use.known");
	return 0;
}

VENDOR_GROUPS(
	{ "use", run_use },
);

VENDOR_MODULE(no_set_up, no_tear_down);
MODULE_DESCRIPTION("Vendor module that depends on another one");
