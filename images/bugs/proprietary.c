// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does nothing, and says that it is proprietary: such a module taints the
 * kernel, and upstream switches off all lock debugging for it.
 */
#include <linux/module.h>

static int __init proprietary_init(void)
{
	return 0;
}

static void __exit proprietary_exit(void)
{
}

module_init(proprietary_init);
module_exit(proprietary_exit);

MODULE_DESCRIPTION("A license that taints the kernel");
MODULE_LICENSE("Proprietary");
