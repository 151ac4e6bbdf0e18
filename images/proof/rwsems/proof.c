// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proof that DEBUG_RWSEMS is live: this module releases a semaphore for writing
 * that nobody holds. The kernel must report it.
 */
#include <linux/module.h>
#include <linux/rwsem.h>

static DECLARE_RWSEM(proof_semaphore);

static int __init proof_init(void)
{
	up_write(&proof_semaphore);
	return 0;
}

static void __exit proof_exit(void)
{
}

module_init(proof_init);
module_exit(proof_exit);

MODULE_DESCRIPTION("Releases a semaphore that is not held");
MODULE_LICENSE("GPL");
