// SPDX-License-Identifier: GPL-2.0-only
/* A module that needs one whose init fails. */
#include <linux/module.h>

void cardless_use(void);

static int __init needs_card_init(void)
{
	cardless_use();
	return 0;
}

static void __exit needs_card_exit(void)
{
}

module_init(needs_card_init);
module_exit(needs_card_exit);
MODULE_DESCRIPTION("Needs a module that is never loaded");
MODULE_LICENSE("GPL");
