// SPDX-License-Identifier: GPL-2.0-only
/*
 * Spinlocks and rwlocks: their size (with canaries directly after each), their
 * initial values, and the lock operations. The configuration decides whether
 * an operation is inlined into the module or a function of the kernel.
 */
#include "vendor.h"

#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#define ROUNDS	4

struct guarded_spin {
	unsigned int count;
	spinlock_t lock;
	u32 canary[CANARIES];
};

struct guarded_rw {
	unsigned int count;
	rwlock_t lock;
	u32 canary[CANARIES];
};

static struct guarded_spin static_spin = {
	.lock = __SPIN_LOCK_UNLOCKED(static_spin.lock),
	.canary = CANARY_FILL,
};

static struct guarded_rw static_rw = {
	.lock = __RW_LOCK_UNLOCKED(static_rw.lock),
	.canary = CANARY_FILL,
};

/* Check a lock variant by taking the lock ROUNDS times around a counter. */
#define LOCK_CHECK(prefix, variant, guard, lock_it, unlock_it)			\
do {										\
	int round;								\
										\
	(guard)->count = 0;							\
	for (round = 0; round < ROUNDS; round++) {				\
		lock_it;							\
		(guard)->count++;						\
		unlock_it;							\
	}									\
	check_lock(prefix, variant, (guard)->count, (guard)->canary);		\
} while (0)

static void check_lock(const char *prefix, const char *variant, unsigned int count, const u32 *canary)
{
	unsigned int corrupt = dead(canary);

	if (corrupt)
		answer(corrupt, 0, "%s.%s", prefix, variant);
	else
		answer(count, ROUNDS, "%s.%s", prefix, variant);
}

static void spin_variants(const char *prefix, struct guarded_spin *g)
{
	unsigned long flags;
	int free, busy;

	LOCK_CHECK(prefix, "plain", g, spin_lock(&g->lock), spin_unlock(&g->lock));
	LOCK_CHECK(prefix, "irq", g, spin_lock_irq(&g->lock), spin_unlock_irq(&g->lock));
	LOCK_CHECK(prefix, "irqsave", g, spin_lock_irqsave(&g->lock, flags),
		   spin_unlock_irqrestore(&g->lock, flags));
	LOCK_CHECK(prefix, "bh", g, spin_lock_bh(&g->lock), spin_unlock_bh(&g->lock));

	free = spin_trylock(&g->lock);
	busy = spin_trylock(&g->lock);
	if (free)
		spin_unlock(&g->lock);
	check_lock(prefix, "trylock", free == 1 && busy == 0 ? ROUNDS : 0, g->canary);
}

static void rw_variants(const char *prefix, struct guarded_rw *g)
{
	unsigned long flags;
	int free, busy;

	LOCK_CHECK(prefix, "read", g, read_lock(&g->lock), read_unlock(&g->lock));
	LOCK_CHECK(prefix, "write", g, write_lock(&g->lock), write_unlock(&g->lock));
	LOCK_CHECK(prefix, "read_irq", g, read_lock_irq(&g->lock), read_unlock_irq(&g->lock));
	LOCK_CHECK(prefix, "write_irq", g, write_lock_irq(&g->lock), write_unlock_irq(&g->lock));
	LOCK_CHECK(prefix, "read_irqsave", g, read_lock_irqsave(&g->lock, flags),
		   read_unlock_irqrestore(&g->lock, flags));
	LOCK_CHECK(prefix, "write_irqsave", g, write_lock_irqsave(&g->lock, flags),
		   write_unlock_irqrestore(&g->lock, flags));
	LOCK_CHECK(prefix, "read_bh", g, read_lock_bh(&g->lock), read_unlock_bh(&g->lock));
	LOCK_CHECK(prefix, "write_bh", g, write_lock_bh(&g->lock), write_unlock_bh(&g->lock));

	free = write_trylock(&g->lock);
	busy = read_trylock(&g->lock);
	if (free)
		write_unlock(&g->lock);
	check_lock(prefix, "trylock", free == 1 && busy == 0 ? ROUNDS : 0, g->canary);
}

static int run_variants(void)
{
	struct guarded_spin *spin = kmalloc(sizeof(*spin), GFP_KERNEL);
	struct guarded_rw *rw = kmalloc(sizeof(*rw), GFP_KERNEL);

	if (spin && rw) {
		fill(spin->canary);
		spin_lock_init(&spin->lock);
		fill(rw->canary);
		rwlock_init(&rw->lock);
		spin_variants("heap_spinlock", spin);
		spin_variants("static_spinlock", &static_spin);
		rw_variants("heap_rwlock", rw);
		rw_variants("static_rwlock", &static_rw);
	}
	kfree(rw);
	kfree(spin);
	return spin && rw ? 0 : -ENOMEM;
}

/* A work item on the first CPU and a kthread on the last contend for one lock. */

#define TURNS	2000

struct arena {
	unsigned long count;
	struct completion done;
	struct work_struct work;
	spinlock_t lock;
	u32 canary[CANARIES];
};

static void take_turns(struct arena *a)
{
	unsigned long flags;
	unsigned int i;

	for (i = 0; i < TURNS; i++) {
		spin_lock_irqsave(&a->lock, flags);
		a->count++;
		spin_unlock_irqrestore(&a->lock, flags);
	}
	complete(&a->done);
}

static void arena_work(struct work_struct *w)
{
	take_turns(container_of(w, struct arena, work));
}

static int arena_thread(void *data)
{
	take_turns(data);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

static int run_contention(void)
{
	struct arena *a = kzalloc(sizeof(*a), GFP_KERNEL);
	struct task_struct *thread;

	if (!a)
		return -ENOMEM;
	fill(a->canary);
	spin_lock_init(&a->lock);
	init_completion(&a->done);
	INIT_WORK(&a->work, arena_work);
	thread = kthread_create(arena_thread, a, KBUILD_MODNAME "/1");
	if (IS_ERR(thread)) {
		kfree(a);
		return PTR_ERR(thread);
	}
	kthread_bind(thread, num_online_cpus() - 1);
	schedule_work_on(0, &a->work);
	wake_up_process(thread);

	answer(wait_for_completion_timeout(&a->done, 5 * HZ) > 0, true, "contention.first");
	answer(wait_for_completion_timeout(&a->done, 5 * HZ) > 0, true, "contention.second");
	kthread_stop(thread);
	cancel_work_sync(&a->work);
	answer(a->count, 2 * TURNS, "contention.count");
	answer(dead(a->canary), 0, "contention.canary");
	kfree(a);
	return 0;
}

VENDOR_GROUPS(
	{ "variants", run_variants },
	{ "contention", run_contention },
);

VENDOR_MODULE(no_set_up, no_tear_down);
MODULE_DESCRIPTION("Vendor module that uses spinlocks and rwlocks");
