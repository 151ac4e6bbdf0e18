// SPDX-License-Identifier: GPL-2.0-only
/* A module with a list that it uses and a constant table; another module, wild_write, writes to both. */
#include <linux/module.h>
#include <linux/list.h>

LIST_HEAD(victim_list);
EXPORT_SYMBOL_GPL(victim_list);

const int victim_table[16] = { 1 };
EXPORT_SYMBOL_GPL(victim_table);

static LIST_HEAD(victim_entry);

static int use_list(const char *value, const struct kernel_param *parameter)
{
	list_add(&victim_entry, &victim_list);
	list_del_init(&victim_entry);
	return 0;
}

static const struct kernel_param_ops use_ops = { .set = use_list };

module_param_cb(use, &use_ops, NULL, 0200);

MODULE_DESCRIPTION("A module that another one writes to.");
MODULE_LICENSE("GPL");
