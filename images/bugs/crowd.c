// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does what is right: takes two of many locks of one kind, in the order of their
 * addresses, as connection tracking does. If each of them is a kind of its own,
 * lockdep has no room for all pairs (MAX_LOCKDEP_ENTRIES).
 */
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

#define NR_LOCKS	1024
#define NR_PAIRS	20000

static spinlock_t crowd[NR_LOCKS];

static int __init crowd_init(void)
{
	unsigned int i, one, other, state = 1;

	for (i = 0; i < NR_LOCKS; i++)
		spin_lock_init(&crowd[i]);
	for (i = 0; i < NR_PAIRS; i++) {
		state = state * 1664525 + 1013904223;
		one = (state >> 8) % (NR_LOCKS - 1);
		other = one + 1 + (state >> 20) % (NR_LOCKS - 1 - one);
		spin_lock(&crowd[one]);
		spin_lock_nested(&crowd[other], SINGLE_DEPTH_NESTING);
		spin_unlock(&crowd[other]);
		spin_unlock(&crowd[one]);
		cond_resched();
	}
	return 0;
}

static void __exit crowd_exit(void)
{
}

module_init(crowd_init);
module_exit(crowd_exit);

MODULE_DESCRIPTION("Many locks of one kind");
MODULE_LICENSE("GPL");
