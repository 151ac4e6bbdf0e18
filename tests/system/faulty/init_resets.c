// SPDX-License-Identifier: GPL-2.0-only
/* A module that resets the board in its init. */
#include <linux/module.h>
#include <linux/reboot.h>

static int __init init_resets_init(void)
{
	emergency_restart();
	return 0;
}

static void __exit init_resets_exit(void)
{
}

module_init(init_resets_init);
module_exit(init_resets_exit);

MODULE_DESCRIPTION("A module that resets the board in its init.");
MODULE_LICENSE("GPL");
