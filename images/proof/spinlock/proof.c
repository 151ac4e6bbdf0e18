// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proof that DEBUG_SPINLOCK is live: this module, built for the debug kernel,
 * unlocks a lock that nobody holds. The kernel must report it.
 */
#include <linux/module.h>
#include <linux/spinlock.h>

static DEFINE_SPINLOCK(proof_lock);

static int __init proof_init(void)
{
	preempt_disable();
	spin_unlock(&proof_lock);
	return 0;
}

static void __exit proof_exit(void)
{
}

module_init(proof_init);
module_exit(proof_exit);

MODULE_DESCRIPTION("Unlocks a spinlock that is not locked");
MODULE_LICENSE("GPL");
