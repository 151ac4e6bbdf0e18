// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shares the locks of another module, lender, on every CPU at once. One module
 * takes a lock and the other one releases it, which is correct use. At the end,
 * it logs whether the locks excluded the CPUs from each other.
 */
#include "bugs.h"

#include "lender.h"

#define ROUNDS	2000
#define PAUSE	100	/* rounds without one */

static atomic_t rounds;

static void round_of_spinlock(void)
{
	unsigned long flags;

	lender_spin_lock();
	lent_under_spinlock++;
	spin_unlock(&lent_spinlock);

	spin_lock(&lent_spinlock);
	lent_under_spinlock++;
	lender_spin_unlock();

	flags = lender_spin_lock_irqsave();
	lent_under_spinlock++;
	spin_unlock_irqrestore(&lent_spinlock, flags);

	spin_lock_irqsave(&lent_spinlock, flags);
	lent_under_spinlock++;
	lender_spin_unlock_irqrestore(flags);
}

static void round_of_rwlock(void)
{
	lender_write_lock();
	lent_under_rwlock++;
	write_unlock(&lent_rwlock);

	write_lock(&lent_rwlock);
	lent_under_rwlock++;
	lender_write_unlock();

	lender_read_lock();
	read_unlock(&lent_rwlock);
	read_lock(&lent_rwlock);
	lender_read_unlock();
}

static int borrower_work(void *done)
{
	int i;

	for (i = 1; i <= ROUNDS; i++) {
		round_of_spinlock();
		round_of_rwlock();
		atomic_inc(&rounds);
		if (!(i % PAUSE))
			schedule_timeout_uninterruptible(1);
	}
	complete(done);
	return 0;
}

static int __init borrower_init(void)
{
	DECLARE_COMPLETION_ONSTACK(done);
	struct task_struct *task;
	int cpu, tasks = 0;

	for_each_online_cpu(cpu) {
		task = kthread_create(borrower_work, &done, "borrower/%d", cpu);
		if (IS_ERR(task))
			continue;
		kthread_bind(task, cpu);
		wake_up_process(task);
		tasks++;
	}
	while (tasks--)
		wait_for_completion(&done);
	pr_info("borrower: %d rounds, %lu under the spinlock, %lu under the rwlock: %s\n",
		atomic_read(&rounds), lent_under_spinlock, lent_under_rwlock,
		lent_under_spinlock == 4ul * atomic_read(&rounds) &&
		lent_under_rwlock == 2ul * atomic_read(&rounds) ? "ok" : "FAILED");
	return 0;
}

static void __exit borrower_exit(void)
{
}

module_init(borrower_init);
module_exit(borrower_exit);

MODULE_DESCRIPTION("Shares the locks of another module");
MODULE_LICENSE("GPL");
