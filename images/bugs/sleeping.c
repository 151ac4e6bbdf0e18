// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deliberate bugs with sleeping where that is not allowed. Nothing really
 * sleeps: every lock is free, and every wait is over.
 */
#include "bugs.h"

#include <linux/delay.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/semaphore.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

static DEFINE_SPINLOCK(lock);
static DEFINE_MUTEX(mutex);

static void use_mutex(void)
{
	mutex_lock(&mutex);
	mutex_unlock(&mutex);
}

static void mutex_under_spinlock(void)
{
	spin_lock(&lock);
	use_mutex();
	spin_unlock(&lock);
}

static void mutex_without_preemption(void)
{
	preempt_disable();
	use_mutex();
	preempt_enable();
}

static void use_mutex_by_timer(struct timer_list *unused)
{
	use_mutex();
}

static void mutex_by_timer(void)
{
	static DEFINE_TIMER(timer, use_mutex_by_timer);

	mod_timer(&timer, jiffies + 1);
	msleep(100);
	del_timer_sync(&timer);
}

static void mutex_not_running(void)
{
	set_current_state(TASK_INTERRUPTIBLE);
	use_mutex();
	__set_current_state(TASK_RUNNING);
}

static void kmalloc_under_spinlock(void)
{
	spin_lock(&lock);
	kfree(kmalloc(64, GFP_KERNEL));
	spin_unlock(&lock);
}

static void use_kmalloc(void *unused)
{
	kfree(kmalloc(64, GFP_KERNEL));
}

static void kmalloc_by_interrupt(void)
{
	smp_call_function_single(1, use_kmalloc, NULL, 1);
}

static void pages_without_softirqs(void)
{
	unsigned long page;

	local_bh_disable();
	page = __get_free_page(GFP_KERNEL);
	local_bh_enable();
	free_page(page);
}

static void vfree_under_spinlock(void)
{
	void *memory = vmalloc(PAGE_SIZE);

	spin_lock(&lock);
	vfree(memory);
	spin_unlock(&lock);
}

static void semaphore_without_interrupts(void)
{
	struct semaphore semaphore;

	sema_init(&semaphore, 1);
	local_irq_disable();
	down(&semaphore);
	up(&semaphore);
	local_irq_enable();
}

static void completion_in_rcu(void)
{
	DECLARE_COMPLETION_ONSTACK(done);

	complete(&done);
	rcu_read_lock();
	wait_for_completion(&done);
	rcu_read_unlock();
}

static void event_in_rcu(void)
{
	DECLARE_WAIT_QUEUE_HEAD_ONSTACK(queue);

	rcu_read_lock();
	wait_event(queue, true);
	rcu_read_unlock();
}

static void worked(struct work_struct *unused)
{
}

static void cancel_work_under_spinlock(void)
{
	static DECLARE_WORK(work, worked);

	spin_lock(&lock);
	cancel_work_sync(&work);
	spin_unlock(&lock);
}

/* A page of user space that needs no page fault */
static char __user *new_page_of_user(void)
{
	char __user *page = (char __user *)vm_mmap(NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
						   MAP_PRIVATE | MAP_ANONYMOUS, 0);

	return put_user(0, page) ? NULL : page;
}

static void copy_from_user_without_preemption(void)
{
	char __user *page = new_page_of_user();
	char copy[64];

	preempt_disable();
	if (copy_from_user(copy, page, sizeof(copy)))
		pr_info("not all was copied\n");
	preempt_enable();
}

static void get_user_without_preemption(void)
{
	char __user *page = new_page_of_user();
	char copy;

	preempt_disable();
	if (!get_user(copy, page))
		pr_info("copied: %d\n", copy);
	preempt_enable();
}

static void might_sleep_without_preemption(void)
{
	preempt_disable();
	might_sleep();
	preempt_enable();
}

static void cond_resched_under_spinlock(void)
{
	spin_lock(&lock);
	cond_resched();
	spin_unlock(&lock);
}

static void cpu_with_preemption(void)
{
	pr_info("on CPU %d, for now\n", smp_processor_id());
}

BUGS(
	{ "mutex-under-spinlock", mutex_under_spinlock },
	{ "mutex-without-preemption", mutex_without_preemption },
	{ "mutex-by-timer", mutex_by_timer },
	{ "mutex-not-running", mutex_not_running },
	{ "kmalloc-under-spinlock", kmalloc_under_spinlock },
	{ "kmalloc-by-interrupt", kmalloc_by_interrupt },
	{ "pages-without-softirqs", pages_without_softirqs },
	{ "vfree-under-spinlock", vfree_under_spinlock },
	{ "semaphore-without-interrupts", semaphore_without_interrupts },
	{ "completion-in-rcu", completion_in_rcu },
	{ "event-in-rcu", event_in_rcu },
	{ "cancel-work-under-spinlock", cancel_work_under_spinlock },
	{ "copy-from-user-without-preemption", copy_from_user_without_preemption },
	{ "get-user-without-preemption", get_user_without_preemption },
	{ "might-sleep-without-preemption", might_sleep_without_preemption },
	{ "cond-resched-under-spinlock", cond_resched_under_spinlock },
	{ "cpu-with-preemption", cpu_with_preemption },
);
MODULE_DESCRIPTION("Deliberate bugs with sleeping");
