// SPDX-License-Identifier: GPL-2.0-only
/* A driver without its hardware: as most modules of a distribution in an emulated machine. */
#include <linux/module.h>

void cardless_use(void);

void cardless_use(void)
{
}
EXPORT_SYMBOL(cardless_use);

static int __init cardless_init(void)
{
	pr_info("cardless: no card at 0x%lx\n", jiffies);
	return -ENODEV;
}

static void __exit cardless_exit(void)
{
}

module_init(cardless_init);
module_exit(cardless_exit);
MODULE_DESCRIPTION("Finds no hardware");
MODULE_LICENSE("GPL");
