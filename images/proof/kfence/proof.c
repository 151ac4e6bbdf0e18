// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proof that KFENCE is live: this module allocates until KFENCE guards an object,
 * and reads the byte after it. The kernel must report it. An object that is as
 * large as a page always ends at the guard page.
 */
#include <linux/jiffies.h>
#include <linux/kfence.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>

static int __init proof_init(void)
{
	unsigned long end = jiffies + HZ / 2;
	bool guarded;
	char *object;

	do {
		object = kmalloc(PAGE_SIZE, GFP_KERNEL);
		OPTIMIZER_HIDE_VAR(object);
		guarded = is_kfence_address(object);
		if (guarded)
			READ_ONCE(object[PAGE_SIZE]);
		kfree(object);
		cond_resched();
	} while (!guarded && time_before(jiffies, end));
	return 0;
}

static void __exit proof_exit(void)
{
}

module_init(proof_init);
module_exit(proof_exit);

MODULE_DESCRIPTION("Reads behind an object that KFENCE guards");
MODULE_LICENSE("GPL");
