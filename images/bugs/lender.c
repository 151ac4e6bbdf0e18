// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lends its locks to another module, borrower, and takes or releases them on
 * its behalf, with the lock operations that this module was built with.
 */
#include <linux/module.h>

#include "lender.h"

DEFINE_SPINLOCK(lent_spinlock);
EXPORT_SYMBOL_GPL(lent_spinlock);
DEFINE_RWLOCK(lent_rwlock);
EXPORT_SYMBOL_GPL(lent_rwlock);
unsigned long lent_under_spinlock, lent_under_rwlock;
EXPORT_SYMBOL_GPL(lent_under_spinlock);
EXPORT_SYMBOL_GPL(lent_under_rwlock);

void lender_spin_lock(void)
{
	spin_lock(&lent_spinlock);
}
EXPORT_SYMBOL_GPL(lender_spin_lock);

void lender_spin_unlock(void)
{
	spin_unlock(&lent_spinlock);
}
EXPORT_SYMBOL_GPL(lender_spin_unlock);

unsigned long lender_spin_lock_irqsave(void)
{
	unsigned long flags;

	spin_lock_irqsave(&lent_spinlock, flags);
	return flags;
}
EXPORT_SYMBOL_GPL(lender_spin_lock_irqsave);

void lender_spin_unlock_irqrestore(unsigned long flags)
{
	spin_unlock_irqrestore(&lent_spinlock, flags);
}
EXPORT_SYMBOL_GPL(lender_spin_unlock_irqrestore);

void lender_write_lock(void)
{
	write_lock(&lent_rwlock);
}
EXPORT_SYMBOL_GPL(lender_write_lock);

void lender_write_unlock(void)
{
	write_unlock(&lent_rwlock);
}
EXPORT_SYMBOL_GPL(lender_write_unlock);

void lender_read_lock(void)
{
	read_lock(&lent_rwlock);
}
EXPORT_SYMBOL_GPL(lender_read_lock);

void lender_read_unlock(void)
{
	read_unlock(&lent_rwlock);
}
EXPORT_SYMBOL_GPL(lender_read_unlock);

static int __init lender_init(void)
{
	return 0;
}

static void __exit lender_exit(void)
{
}

module_init(lender_init);
module_exit(lender_exit);

MODULE_DESCRIPTION("Lends its locks");
MODULE_LICENSE("GPL");
