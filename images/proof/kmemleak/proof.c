// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proof that kmemleak is live: this module allocates objects and forgets them.
 * The kernel must report them in a scan (see `after`). There are several, because
 * the address of one may still be on a stack. They are zeroed, because kmemleak
 * needs a second scan for an object whose content has changed.
 */
#include <linux/module.h>
#include <linux/slab.h>

/* Not __init: `after` looks for this function in the list of leaks. */
static noinline void proof_forget(void)
{
	int i;

	for (i = 0; i < 16; i++)
		barrier_data(kzalloc(64, GFP_KERNEL));
}

static int __init proof_init(void)
{
	proof_forget();
	return 0;
}

static void __exit proof_exit(void)
{
}

module_init(proof_init);
module_exit(proof_exit);

MODULE_DESCRIPTION("Forgets memory that it allocated");
MODULE_LICENSE("GPL");
