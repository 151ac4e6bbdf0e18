// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bug table: a warning is a trap or a call, and the kernel finds its file
 * and line in a section of the module. It must be reported once, with the line
 * that a parameter of the module shows.
 */
#include "vendor.h"

#include <linux/bug.h>

static unsigned int line = 1;
module_param(line, uint, 0444);

/* __noclone: gcc 14 would report it as misbehave.isra.0 */
static noinline __noclone bool misbehave(void)
{
	line = __LINE__ + 1;
	return WARN_ON_ONCE(true);
}

static int run_warn(void)
{
	answer(misbehave(), true, "warn.first");
	answer(misbehave(), true, "warn.second");
	return 0;
}

VENDOR_GROUPS(
	{ "warn", run_warn },
);

VENDOR_MODULE(no_set_up, no_tear_down);
MODULE_DESCRIPTION("Vendor module that warns, once");
