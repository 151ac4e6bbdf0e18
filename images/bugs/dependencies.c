// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deliberate bugs with the order and the context of locks. Nothing deadlocks:
 * each bug is two halves, one after the other, that never meet.
 */
#include "bugs.h"

#include <linux/cpu.h>
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

static DEFINE_SPINLOCK(spin_a);
static DEFINE_SPINLOCK(spin_b);
static DEFINE_RWLOCK(rwlock_a);
static DEFINE_MUTEX(mutex_a);
static DEFINE_MUTEX(mutex_b);
static DEFINE_MUTEX(mutex_c);
static DECLARE_RWSEM(rwsem_a);

/* What a driver has for each of its devices */
struct device_state {
	spinlock_t spin;
	spinlock_t other_spin;
	struct mutex mutex;
	struct mutex other_mutex;
	struct rw_semaphore rwsem;
};

static struct device_state *new_state(void)
{
	struct device_state *state = kzalloc(sizeof(*state), GFP_KERNEL);

	if (!state)
		return NULL;
	spin_lock_init(&state->spin);
	spin_lock_init(&state->other_spin);
	mutex_init(&state->mutex);
	mutex_init(&state->other_mutex);
	init_rwsem(&state->rwsem);
	return state;
}

static void spinlocks_both(spinlock_t *first, spinlock_t *second)
{
	spin_lock(first);
	spin_lock(second);
	spin_unlock(second);
	spin_unlock(first);
}

static void mutexes_both(struct mutex *first, struct mutex *second)
{
	mutex_lock(first);
	mutex_lock(second);
	mutex_unlock(second);
	mutex_unlock(first);
}

static void static_spinlocks(void)
{
	spinlocks_both(&spin_a, &spin_b);
	spinlocks_both(&spin_b, &spin_a);
}

static void static_mutexes(void)
{
	mutexes_both(&mutex_a, &mutex_b);
	mutexes_both(&mutex_b, &mutex_a);
}

static void three_mutexes(void)
{
	mutexes_both(&mutex_a, &mutex_b);
	mutexes_both(&mutex_b, &mutex_c);
	mutexes_both(&mutex_c, &mutex_a);
}

static void spinlock_and_rwlock(void)
{
	spin_lock(&spin_a);
	write_lock(&rwlock_a);
	write_unlock(&rwlock_a);
	spin_unlock(&spin_a);

	write_lock(&rwlock_a);
	spin_lock(&spin_a);
	spin_unlock(&spin_a);
	write_unlock(&rwlock_a);
}

static void mutex_and_rwsem(void)
{
	mutex_lock(&mutex_a);
	down_read(&rwsem_a);
	up_read(&rwsem_a);
	mutex_unlock(&mutex_a);

	down_write(&rwsem_a);
	mutex_lock(&mutex_a);
	mutex_unlock(&mutex_a);
	up_write(&rwsem_a);
}

static void spinlocks_of_object(void)
{
	struct device_state *state = new_state();

	if (!state)
		return;
	spinlocks_both(&state->spin, &state->other_spin);
	spinlocks_both(&state->other_spin, &state->spin);
	kfree(state);
}

static void mutexes_of_object(void)
{
	struct device_state *state = new_state();

	if (!state)
		return;
	mutexes_both(&state->mutex, &state->other_mutex);
	mutexes_both(&state->other_mutex, &state->mutex);
	kfree(state);
}

/* Each object is right by itself: only the kind of lock is in both orders. */
static void mutexes_of_two_objects(void)
{
	struct device_state *one = new_state(), *two = new_state();

	if (one && two) {
		mutexes_both(&one->mutex, &one->other_mutex);
		mutexes_both(&two->other_mutex, &two->mutex);
	}
	kfree(one);
	kfree(two);
}

static void mutexes_of_one_kind(void)
{
	struct device_state *one = new_state(), *two = new_state();

	if (one && two)
		mutexes_both(&one->mutex, &two->mutex);
	kfree(one);
	kfree(two);
}

static void rwsem_twice(void)
{
	struct device_state *state = new_state();

	if (!state)
		return;
	down_read(&state->rwsem);
	down_read(&state->rwsem);
	up_read(&state->rwsem);
	up_read(&state->rwsem);
	kfree(state);
}

static void mutex_and_hotplug(void)
{
	mutex_lock(&mutex_a);
	cpus_read_lock();
	cpus_read_unlock();
	mutex_unlock(&mutex_a);

	cpus_read_lock();
	mutex_lock(&mutex_a);
	mutex_unlock(&mutex_a);
	cpus_read_unlock();
}

static void map_and_unmap(void)
{
	unsigned long at = vm_mmap(NULL, 0, PAGE_SIZE, PROT_READ,
				   MAP_PRIVATE | MAP_ANONYMOUS, 0);

	if (!IS_ERR_VALUE(at))
		vm_munmap(at, PAGE_SIZE);
}

static void mutex_and_mmap_lock(void)
{
	mutex_lock(&mutex_a);
	map_and_unmap();
	mutex_unlock(&mutex_a);

	mmap_read_lock(current->mm);
	mutex_lock(&mutex_a);
	mutex_unlock(&mutex_a);
	mmap_read_unlock(current->mm);
}

static void use_spinlock(struct timer_list *unused)
{
	spin_lock(&spin_a);
	spin_unlock(&spin_a);
}

static DEFINE_TIMER(timer, use_spinlock);

static void run_timer(void)
{
	mod_timer(&timer, jiffies + 1);
	while (timer_pending(&timer))
		schedule_timeout_uninterruptible(1);
	del_timer_sync(&timer);
}

static void softirq_and_process(void)
{
	run_timer();
	use_spinlock(NULL);
}

static void softirq_through_another(void)
{
	run_timer();

	/* Who has one that is used in softirqs waits for one that is not. */
	spin_lock_bh(&spin_a);
	spin_lock(&spin_b);
	spin_unlock(&spin_b);
	spin_unlock_bh(&spin_a);

	spin_lock(&spin_b);
	spin_unlock(&spin_b);
}

static bool interrupted;

static enum hrtimer_restart use_spinlock_by_interrupt(struct hrtimer *unused)
{
	spin_lock(&spin_a);
	spin_unlock(&spin_a);
	WRITE_ONCE(interrupted, true);
	return HRTIMER_NORESTART;
}

static void interrupt_and_process(void)
{
	static struct hrtimer hrtimer;

	hrtimer_init(&hrtimer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
	hrtimer.function = use_spinlock_by_interrupt;
	hrtimer_start(&hrtimer, ms_to_ktime(1), HRTIMER_MODE_REL_HARD);
	while (!READ_ONCE(interrupted))
		schedule_timeout_uninterruptible(1);
	hrtimer_cancel(&hrtimer);

	spin_lock(&spin_a);
	spin_unlock(&spin_a);
}

static void cancel_timer_with_its_lock(void)
{
	run_timer();
	spin_lock_bh(&spin_a);
	del_timer_sync(&timer);
	spin_unlock_bh(&spin_a);
}

static void use_mutex(struct work_struct *unused)
{
	mutex_lock(&mutex_a);
	mutex_unlock(&mutex_a);
}

static DECLARE_WORK(work, use_mutex);

static void flush_work_with_its_lock(void)
{
	schedule_work(&work);
	flush_work(&work);

	mutex_lock(&mutex_a);
	flush_work(&work);
	mutex_unlock(&mutex_a);
}

static void flush_queue_with_its_lock(void)
{
	struct workqueue_struct *queue = alloc_workqueue("dependencies", 0, 0);

	if (!queue)
		return;
	queue_work(queue, &work);
	flush_work(&work);

	mutex_lock(&mutex_a);
	flush_workqueue(queue);
	mutex_unlock(&mutex_a);
	destroy_workqueue(queue);
}

static void free_with_lock(void)
{
	struct device_state *state = new_state();

	if (!state)
		return;
	spin_lock(&state->spin);
	kfree(state);
	preempt_enable();
}

static void return_with_mutex(void)
{
	mutex_lock(&mutex_c);
}

static void task_without_rcu(void)
{
	if (!pid_task(task_pid(current), PIDTYPE_PID))
		pr_info("no task\n");
}

BUGS(
	{ "static-spinlocks", static_spinlocks },
	{ "static-mutexes", static_mutexes },
	{ "three-mutexes", three_mutexes },
	{ "spinlock-and-rwlock", spinlock_and_rwlock },
	{ "mutex-and-rwsem", mutex_and_rwsem },
	{ "spinlocks-of-object", spinlocks_of_object },
	{ "mutexes-of-object", mutexes_of_object },
	{ "mutexes-of-two-objects", mutexes_of_two_objects },
	{ "mutexes-of-one-kind", mutexes_of_one_kind },
	{ "rwsem-twice", rwsem_twice },
	{ "mutex-and-hotplug", mutex_and_hotplug },
	{ "mutex-and-mmap-lock", mutex_and_mmap_lock },
	{ "softirq-and-process", softirq_and_process },
	{ "softirq-through-another", softirq_through_another },
	{ "interrupt-and-process", interrupt_and_process },
	{ "cancel-timer-with-its-lock", cancel_timer_with_its_lock },
	{ "flush-work-with-its-lock", flush_work_with_its_lock },
	{ "flush-queue-with-its-lock", flush_queue_with_its_lock },
	{ "free-with-lock", free_with_lock },
	{ "return-with-mutex", return_with_mutex },
	{ "task-without-rcu", task_without_rcu },
);
MODULE_DESCRIPTION("Deliberate bugs with the order and the context of locks");
