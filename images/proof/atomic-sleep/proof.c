// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proof that DEBUG_ATOMIC_SLEEP is live: this module calls might_sleep() in atomic
 * context. The kernel must report it.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/preempt.h>

static int __init proof_init(void)
{
	preempt_disable();
	might_sleep();
	preempt_enable();
	return 0;
}

static void __exit proof_exit(void)
{
}

module_init(proof_init);
module_exit(proof_exit);

MODULE_DESCRIPTION("Announces a sleep with preemption disabled");
MODULE_LICENSE("GPL");
