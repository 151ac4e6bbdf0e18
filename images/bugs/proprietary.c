// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does nothing, but has a proprietary licence. Such a module taints the kernel,
 * and an upstream kernel then switches off all lock debugging.
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
