// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proof that DEBUG_LIST is live: this module adds to a list whose first entry
 * does not point back. The kernel must report it, and does not change the list.
 */
#include <linux/list.h>
#include <linux/module.h>

static LIST_HEAD(proof_list);
static LIST_HEAD(proof_stranger);
static LIST_HEAD(proof_entry);

static int __init proof_init(void)
{
	proof_list.next = &proof_stranger;
	list_add(&proof_entry, &proof_list);
	return 0;
}

static void __exit proof_exit(void)
{
}

module_init(proof_init);
module_exit(proof_exit);

MODULE_DESCRIPTION("Adds to a corrupted list");
MODULE_LICENSE("GPL");
