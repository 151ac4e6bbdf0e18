// SPDX-License-Identifier: GPL-2.0-only
/* A module that writes to another one: to its list or, where the page tables forbid it, to its constants. */
#include <linux/module.h>
#include <linux/list.h>

extern struct list_head victim_list;
extern const int victim_table[16];

static bool constants;
module_param(constants, bool, 0);

static int __init wild_write_init(void)
{
	if (constants)
		*(volatile int *)&victim_table[3] = 1;
	else
		victim_list.next = (struct list_head *)&constants;
	return 0;
}

static void __exit wild_write_exit(void)
{
}

module_init(wild_write_init);
module_exit(wild_write_exit);

MODULE_DESCRIPTION("A module that writes into another one.");
MODULE_LICENSE("GPL");
