// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proof that DEBUG_MUTEXES is live: this module unlocks a mutex that nobody holds.
 * The kernel must report it.
 */
#include <linux/module.h>
#include <linux/mutex.h>

static DEFINE_MUTEX(proof_mutex);

static int __init proof_init(void)
{
	mutex_unlock(&proof_mutex);
	return 0;
}

static void __exit proof_exit(void)
{
}

module_init(proof_init);
module_exit(proof_exit);

MODULE_DESCRIPTION("Unlocks a mutex that is not locked");
MODULE_LICENSE("GPL");
