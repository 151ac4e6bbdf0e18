// SPDX-License-Identifier: GPL-2.0-only
/* A module that spins for ever with interrupts off in its init. */
#include <linux/module.h>
#include <linux/irqflags.h>

static int __init init_spins_init(void)
{
	local_irq_disable();
	for (;;)
		barrier();
	return 0;
}

static void __exit init_spins_exit(void)
{
}

module_init(init_spins_init);
module_exit(init_spins_exit);

MODULE_DESCRIPTION("A module that spins for ever with interrupts off in its init.");
MODULE_LICENSE("GPL");
