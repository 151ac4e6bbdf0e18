/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LENDER_H
#define LENDER_H

#include <linux/spinlock.h>

/* Locks that two modules share, and the counters that the locks protect */
extern spinlock_t lent_spinlock;
extern rwlock_t lent_rwlock;
extern unsigned long lent_under_spinlock, lent_under_rwlock;

void lender_spin_lock(void);
void lender_spin_unlock(void);
unsigned long lender_spin_lock_irqsave(void);
void lender_spin_unlock_irqrestore(unsigned long flags);
void lender_write_lock(void);
void lender_write_unlock(void);
void lender_read_lock(void);
void lender_read_unlock(void);

#endif
