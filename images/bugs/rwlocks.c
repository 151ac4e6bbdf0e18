// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deliberate bugs with rwlocks. As with spinlocks, a module may have inlined
 * write_unlock(), but not write_unlock_irqrestore().
 */
#include "bugs.h"

#include <linux/slab.h>
#include <linux/spinlock.h>

static DEFINE_RWLOCK(lock);

static void take(void)
{
	write_lock(&lock);
}

static void let_go(struct timer_list *unused)
{
	arch_write_unlock(&lock.raw_lock);
}

static DEFINE_TIMER(timer, let_go);

static void take_in_vain(void)
{
	mod_timer(&timer, jiffies + A_WHILE);
	write_lock(&lock);
	write_unlock(&lock);
}

static void recursion(void)
{
	write_lock(&lock);
	take_in_vain();
}

static void cpu_recursion(void)
{
	by_another_task(0, take);
	take_in_vain();
}

static void not_locked(void)
{
	write_unlock(&lock);
}

static void not_locked_irq(void)
{
	write_unlock_irqrestore(&lock, flags_as_they_are());
}

static void wrong_owner(void)
{
	by_another_task(0, take);
	write_unlock(&lock);
}

static void wrong_owner_irq(void)
{
	by_another_task(0, take);
	write_unlock_irqrestore(&lock, flags_as_they_are());
}

static void wrong_cpu_irq(void)
{
	write_lock(&lock);
	move_to(1);
	write_unlock_irqrestore(&lock, flags_as_they_are());
}

static void zeroed(void)
{
	rwlock_t *new = kzalloc(64, GFP_KERNEL);

	if (!new)
		return;
	read_lock(new);
	read_unlock(new);
	kfree(new);
}

static void freed(void)
{
	rwlock_t *old = kmalloc(64, GFP_KERNEL);

	if (!old)
		return;
	rwlock_init(old);
	kfree(old);
	OPTIMIZER_HIDE_VAR(old);
	read_unlock_irqrestore(old, flags_as_they_are());
}

BUGS(
	{ "recursion", recursion },
	{ "cpu-recursion", cpu_recursion },
	{ "not-locked", not_locked },
	{ "not-locked-irqrestore", not_locked_irq },
	{ "wrong-owner", wrong_owner },
	{ "wrong-owner-irqrestore", wrong_owner_irq },
	{ "wrong-cpu-irqrestore", wrong_cpu_irq },
	{ "zeroed", zeroed },
	{ "freed", freed },
);
MODULE_DESCRIPTION("Deliberate bugs with rwlocks");
