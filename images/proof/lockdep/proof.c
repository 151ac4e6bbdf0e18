// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proof that PROVE_LOCKING is live: this module takes two mutexes in one order,
 * then in the other. A single task cannot hang that way, but two tasks could
 * deadlock. The kernel must report it.
 */
#include <linux/module.h>
#include <linux/mutex.h>

static DEFINE_MUTEX(proof_one);
static DEFINE_MUTEX(proof_other);

static int __init proof_init(void)
{
	mutex_lock(&proof_one);
	mutex_lock(&proof_other);
	mutex_unlock(&proof_other);
	mutex_unlock(&proof_one);

	mutex_lock(&proof_other);
	mutex_lock(&proof_one);
	mutex_unlock(&proof_one);
	mutex_unlock(&proof_other);
	return 0;
}

static void __exit proof_exit(void)
{
}

module_init(proof_init);
module_exit(proof_exit);

MODULE_DESCRIPTION("Takes two mutexes in both orders");
MODULE_LICENSE("GPL");
