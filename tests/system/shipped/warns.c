// SPDX-License-Identifier: GPL-2.0-only
/* A module that warns on production as well. */
#include <linux/module.h>

static int __init warns_init(void)
{
	WARN(1, "warns: a bug of its own");
	return 0;
}

static void __exit warns_exit(void)
{
}

module_init(warns_init);
module_exit(warns_exit);
MODULE_DESCRIPTION("Warns everywhere");
MODULE_LICENSE("GPL");
