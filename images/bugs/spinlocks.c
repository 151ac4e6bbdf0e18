// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deliberate bugs with spinlocks. A module may have inlined spin_unlock(), but
 * spin_unlock_irqrestore() only on arm64, so most bugs exist with both.
 */
#include "bugs.h"

#include <linux/slab.h>
#include <linux/spinlock.h>

static DEFINE_SPINLOCK(lock);

static void take(void)
{
	spin_lock(&lock);
}

static void let_go(struct timer_list *unused)
{
	arch_spin_unlock(&lock.rlock.raw_lock);
}

static DEFINE_TIMER(timer, let_go);

static void take_in_vain(void)
{
	mod_timer(&timer, jiffies + A_WHILE);
	spin_lock(&lock);
	spin_unlock(&lock);
}

static void recursion(void)
{
	spin_lock(&lock);
	take_in_vain();
}

static void cpu_recursion(void)
{
	by_another_task(0, take);
	take_in_vain();
}

static void already_unlocked(void)
{
	spin_unlock(&lock);
}

static void already_unlocked_irq(void)
{
	spin_unlock_irqrestore(&lock, flags_as_they_are());
}

static void wrong_owner(void)
{
	by_another_task(0, take);
	spin_unlock(&lock);
}

static void wrong_owner_irq(void)
{
	by_another_task(0, take);
	spin_unlock_irqrestore(&lock, flags_as_they_are());
}

static void wrong_cpu(void)
{
	spin_lock(&lock);
	move_to(1);
	spin_unlock(&lock);
}

static void wrong_cpu_irq(void)
{
	spin_lock(&lock);
	move_to(1);
	spin_unlock_irqrestore(&lock, flags_as_they_are());
}

static void zeroed(void)
{
	spinlock_t *new = kzalloc(64, GFP_KERNEL);

	if (!new)
		return;
	spin_lock(new);
	spin_unlock(new);
	kfree(new);
}

/* The memory contains the allocator's poison. */
static void uninitialised(void)
{
	spinlock_t *new = kmalloc(64, GFP_KERNEL);

	if (new)
		spin_unlock_irqrestore(new, flags_as_they_are());
}

static void freed(void)
{
	spinlock_t *old = kmalloc(64, GFP_KERNEL);

	if (!old)
		return;
	spin_lock_init(old);
	kfree(old);
	OPTIMIZER_HIDE_VAR(old);
	spin_lock(old);
}

/* Neither this CPU nor this task is at fault: the owner does not release the lock. */
static void lockup(void)
{
	by_another_task(1, take);
	mod_timer(&timer, jiffies + 8 * HZ);
	spin_lock(&lock);
	spin_unlock(&lock);
}

BUGS(
	{ "recursion", recursion },
	{ "cpu-recursion", cpu_recursion },
	{ "already-unlocked", already_unlocked },
	{ "already-unlocked-irqrestore", already_unlocked_irq },
	{ "wrong-owner", wrong_owner },
	{ "wrong-owner-irqrestore", wrong_owner_irq },
	{ "wrong-cpu", wrong_cpu },
	{ "wrong-cpu-irqrestore", wrong_cpu_irq },
	{ "zeroed", zeroed },
	{ "uninitialised", uninitialised },
	{ "freed", freed },
	{ "lockup", lockup },
);
MODULE_DESCRIPTION("Deliberate bugs with spinlocks");
