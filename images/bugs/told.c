// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does what is right, and tells lockdep so by annotations that are empty in a
 * kernel without lockdep: a task that takes a semaphore for another one, locks
 * of one kind for each CPU, and more locks than lockdep has room for
 * (MAX_LOCK_DEPTH) while one is held that all of them belong to.
 */
#include <linux/cpumask.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#define NR_LOCKS	60

static DECLARE_RWSEM(handed_over);
static DEFINE_PER_CPU(spinlock_t, of_cpu) = __SPIN_LOCK_UNLOCKED(of_cpu);
static DEFINE_MUTEX(owner);

static void release(struct work_struct *work)
{
	up_read_non_owner(&handed_over);
}

static void take(struct work_struct *work)
{
	down_read_non_owner(&handed_over);
}

static DECLARE_WORK(releasing, release);
static DECLARE_WORK(taking, take);

static void take_those_of_all_cpus(void)
{
	unsigned int nested = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		spin_lock_nested(per_cpu_ptr(&of_cpu, cpu), nested++);
	for_each_possible_cpu(cpu)
		spin_unlock(per_cpu_ptr(&of_cpu, cpu));
}

static int take_those_of_one(void)
{
	struct mutex *locks = kmalloc_array(NR_LOCKS, sizeof(*locks), GFP_KERNEL);
	unsigned int i;

	if (!locks)
		return -ENOMEM;
	for (i = 0; i < NR_LOCKS; i++)
		mutex_init(&locks[i]);
	mutex_lock(&owner);
	for (i = 0; i < NR_LOCKS; i++)
		mutex_lock_nest_lock(&locks[i], &owner);
	for (i = 0; i < NR_LOCKS; i++)
		mutex_unlock(&locks[i]);
	mutex_unlock(&owner);
	kfree(locks);
	return 0;
}

static int __init told_init(void)
{
	int ret;

	take_those_of_all_cpus();
	ret = take_those_of_one();
	if (ret)
		return ret;
	/* A worker takes it and goes on, and so does who loads the module. */
	schedule_work(&taking);
	flush_work(&taking);
	down_read_non_owner(&handed_over);
	return 0;
}

static void __exit told_exit(void)
{
	schedule_work(&releasing);
	flush_work(&releasing);
	schedule_work(&releasing);
	flush_work(&releasing);
}

module_init(told_init);
module_exit(told_exit);

MODULE_DESCRIPTION("What lockdep is told by annotations");
MODULE_LICENSE("GPL");
