// SPDX-License-Identifier: GPL-2.0-only
/* A module that has nothing to fear. */
#include <linux/module.h>
#include <linux/proc_fs.h>

static int __init works_init(void)
{
	return proc_mkdir("works", NULL) ? 0 : -ENOMEM;
}

static void __exit works_exit(void)
{
	remove_proc_entry("works", NULL);
}

module_init(works_init);
module_exit(works_exit);
MODULE_DESCRIPTION("Works everywhere");
MODULE_LICENSE("GPL");
