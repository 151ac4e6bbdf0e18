// SPDX-License-Identifier: GPL-2.0-only
/* A module that is loaded so that the notifier of another one runs, and whose parameter can be given wrongly. */
#include <linux/module.h>

static int number;
module_param(number, int, 0400);

static int __init newcomer_init(void)
{
	return 0;
}
module_init(newcomer_init);

static void __exit newcomer_exit(void)
{
}
module_exit(newcomer_exit);

MODULE_DESCRIPTION("A module without any content");
MODULE_LICENSE("GPL");
