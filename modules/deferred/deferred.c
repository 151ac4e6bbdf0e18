// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deferred work: timers, work items, tasklets, threads and RCU callbacks. The
 * kernel keeps its links and state inside the module's objects. Each object is
 * used with canaries after it, and its callback completes a completion that
 * the module waits for.
 */
#include "vendor.h"

#include <linux/completion.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/srcu.h>
#include <linux/timer.h>
#include <linux/workqueue.h>

#define TICKS	3
#define PATIENCE	(5 * HZ)

/* Each callback counts its runs and completes its job. */
struct job {
	struct completion done;
	atomic_t runs;
};

static void prepare(struct job *job)
{
	init_completion(&job->done);
	atomic_set(&job->runs, 0);
}

static void finish(struct job *job)
{
	atomic_inc(&job->runs);
	complete(&job->done);
}

static bool is_awaited(struct job *job)
{
	return wait_for_completion_timeout(&job->done, PATIENCE) > 0;
}

/* An object that the kernel uses, canaries after it, and its job */
#define DEFERRED(name, type)	\
	struct name { type it; u32 canary[CANARIES]; struct job job; }

#define NEW(o)									\
({										\
	(o) = kzalloc(sizeof(*(o)), GFP_KERNEL);				\
	if (o) {								\
		fill((o)->canary);						\
		prepare(&(o)->job);						\
	}									\
	!!(o);									\
})

/* Check that the callback ran as often as wanted and nothing was written after the object. */
#define CHECK_AND_FREE(o, wanted, name)						\
do {										\
	answer(atomic_read(&(o)->job.runs), wanted, name ".runs");				\
	answer(dead((o)->canary), 0, name ".canary");				\
	kfree(o);								\
} while (0)

/* Timers */

DEFERRED(deferred_timer, struct timer_list);
DEFERRED(deferred_hrtimer, struct hrtimer);

static void on_timer(struct timer_list *timer)
{
	struct deferred_timer *o = from_timer(o, timer, it);

	if (atomic_read(&o->job.runs) + 1 < TICKS)
		mod_timer(timer, jiffies + 1);
	finish(&o->job);
}

static int run_timer(void)
{
	struct deferred_timer *o;
	int i;

	if (!NEW(o))
		return -ENOMEM;
	timer_setup(&o->it, on_timer, 0);
	answer(timer_pending(&o->it), false, "timer.idle");
	mod_timer(&o->it, jiffies + 1);
	for (i = 0; i < TICKS; i++)
		answer(is_awaited(&o->job), true, "timer.tick%d", i);
	mod_timer(&o->it, jiffies + PATIENCE);
	answer(timer_pending(&o->it), true, "timer.pending");
	answer(del_timer_sync(&o->it), 1, "timer.deleted");
	CHECK_AND_FREE(o, TICKS, "timer");
	return 0;
}

static enum hrtimer_restart on_hrtimer(struct hrtimer *timer)
{
	struct deferred_hrtimer *o = container_of(timer, struct deferred_hrtimer, it);

	finish(&o->job);
	if (atomic_read(&o->job.runs) == TICKS)
		return HRTIMER_NORESTART;
	hrtimer_forward_now(timer, ms_to_ktime(1));
	return HRTIMER_RESTART;
}

static int run_hrtimer(void)
{
	struct deferred_hrtimer *o;
	ktime_t started = ktime_get();
	int i;

	if (!NEW(o))
		return -ENOMEM;
	hrtimer_init(&o->it, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	o->it.function = on_hrtimer;
	hrtimer_start(&o->it, ms_to_ktime(1), HRTIMER_MODE_REL);
	for (i = 0; i < TICKS; i++)
		answer(is_awaited(&o->job), true, "hrtimer.tick%d", i);
	answer(ktime_to_ms(ktime_sub(ktime_get(), started)) >= TICKS, true, "hrtimer.time");
	hrtimer_cancel(&o->it);
	answer(hrtimer_active(&o->it), false, "hrtimer.idle");
	CHECK_AND_FREE(o, TICKS, "hrtimer");
	return 0;
}

/* Work */

DEFERRED(deferred_work, struct work_struct);
DEFERRED(deferred_delayed, struct delayed_work);

static void on_work(struct work_struct *work)
{
	finish(&container_of(work, struct deferred_work, it)->job);
}

static void on_delayed(struct work_struct *work)
{
	finish(&container_of(to_delayed_work(work), struct deferred_delayed, it)->job);
}

static int run_work(void)
{
	struct deferred_work *o;

	if (!NEW(o))
		return -ENOMEM;
	INIT_WORK(&o->it, on_work);
	answer(schedule_work_on(1, &o->it), true, "work.queued");
	answer(is_awaited(&o->job), true, "work.awaited");
	schedule_work(&o->it);
	flush_work(&o->it);
	answer(work_busy(&o->it), 0, "work.idle");
	CHECK_AND_FREE(o, 2, "work");
	return 0;
}

static int run_delayed(void)
{
	struct deferred_delayed *o;

	if (!NEW(o))
		return -ENOMEM;
	INIT_DELAYED_WORK(&o->it, on_delayed);
	schedule_delayed_work(&o->it, 1);
	answer(is_awaited(&o->job), true, "delayed.awaited");
	schedule_delayed_work(&o->it, PATIENCE);
	answer(delayed_work_pending(&o->it), true, "delayed.pending");
	flush_delayed_work(&o->it);	/* false if the worker was faster, as is possible with PREEMPT */
	answer(delayed_work_pending(&o->it), false, "delayed.flushed");
	schedule_delayed_work(&o->it, PATIENCE);
	answer(cancel_delayed_work_sync(&o->it), true, "delayed.cancelled");
	CHECK_AND_FREE(o, 2, "delayed");
	return 0;
}

/* An ordered workqueue, which runs one item at a time */

#define ITEMS	4

struct deferred_item {
	struct work_struct it;
	u32 canary[CANARIES];
	unsigned int *order;
	unsigned int nr;
};

static void on_item(struct work_struct *work)
{
	struct deferred_item *item = container_of(work, struct deferred_item, it);

	*item->order = *item->order * 10 + item->nr;
}

static int run_queue(void)
{
	struct workqueue_struct *queue = alloc_ordered_workqueue("vendor_%s", 0, KBUILD_MODNAME);
	struct deferred_item *items = kcalloc(ITEMS, sizeof(*items), GFP_KERNEL);
	unsigned int order = 0, corrupt = 0, i;

	answer(queue && items, true, "queue.create");
	if (queue && items) {
		for (i = 0; i < ITEMS; i++) {
			items[i].order = &order;
			items[i].nr = i + 1;
			fill(items[i].canary);
			INIT_WORK(&items[i].it, on_item);
			queue_work(queue, &items[i].it);
		}
		flush_workqueue(queue);
		answer(order, 1234, "queue.order");
		for (i = 0; i < ITEMS; i++)
			corrupt += dead(items[i].canary);
		answer(corrupt, 0, "queue.canary");
	}
	if (queue)
		destroy_workqueue(queue);
	kfree(items);
	return 0;
}

/* Soft interrupts */

DEFERRED(deferred_tasklet, struct tasklet_struct);

static void on_tasklet(struct tasklet_struct *tasklet)
{
	struct deferred_tasklet *o = from_tasklet(o, tasklet, it);

	finish(&o->job);
}

static int run_tasklet(void)
{
	struct deferred_tasklet *o;

	if (!NEW(o))
		return -ENOMEM;
	tasklet_setup(&o->it, on_tasklet);
	tasklet_schedule(&o->it);
	answer(is_awaited(&o->job), true, "tasklet.awaited");
	tasklet_disable(&o->it);
	tasklet_hi_schedule(&o->it);
	answer(atomic_read(&o->job.runs), 1, "tasklet.disabled");
	tasklet_enable(&o->it);
	answer(is_awaited(&o->job), true, "tasklet.enabled");
	tasklet_kill(&o->it);
	answer(o->it.state, 0, "tasklet.idle");
	CHECK_AND_FREE(o, 2, "tasklet");
	return 0;
}

static void on_call(void *job)
{
	finish(job);
}

static int run_cross(void)
{
	struct job job;

	prepare(&job);
	answer(smp_call_function_single(1, on_call, &job, true), 0, "cross.single");
	on_each_cpu_mask(cpu_online_mask, on_call, &job, true);
	answer(atomic_read(&job.runs), 1 + num_online_cpus(), "cross.runs");
	return 0;
}

/* Threads */

struct crew {
	struct job started, parked, unparked;
	u32 canary[CANARIES];
};

static int crew_member(void *data)
{
	struct crew *crew = data;

	finish(&crew->started);
	while (!kthread_should_stop()) {
		if (kthread_should_park()) {
			finish(&crew->parked);
			kthread_parkme();
			finish(&crew->unparked);
		}
		set_current_state(TASK_INTERRUPTIBLE);
		if (!kthread_should_stop() && !kthread_should_park())
			schedule();
		__set_current_state(TASK_RUNNING);
	}
	return 7;
}

static int run_thread(void)
{
	struct crew *crew = kzalloc(sizeof(*crew), GFP_KERNEL);
	struct task_struct *thread;

	if (!crew)
		return -ENOMEM;
	prepare(&crew->started);
	prepare(&crew->parked);
	prepare(&crew->unparked);
	fill(crew->canary);
	thread = kthread_run(crew_member, crew, KBUILD_MODNAME "/%d", 1);
	if (IS_ERR(thread)) {
		kfree(crew);
		return PTR_ERR(thread);
	}
	answer(is_awaited(&crew->started), true, "thread.started");
	answer(kthread_park(thread), 0, "thread.park");
	answer(is_awaited(&crew->parked), true, "thread.parked");
	answer(atomic_read(&crew->unparked.runs), 0, "thread.stays");
	kthread_unpark(thread);
	answer(is_awaited(&crew->unparked), true, "thread.unparked");
	answer(kthread_stop(thread), 7, "thread.stopped");
	answer(dead(crew->canary), 0, "thread.canary");
	kfree(crew);
	return 0;
}

/* RCU */

DEFERRED(deferred_rcu, struct rcu_head);

static void on_grace(struct rcu_head *head)
{
	finish(&container_of(head, struct deferred_rcu, it)->job);
}

static int run_rcu(void)
{
	struct deferred_rcu *o;

	if (!NEW(o))
		return -ENOMEM;
	rcu_read_lock();
	call_rcu(&o->it, on_grace);
	rcu_read_unlock();
	rcu_barrier();
	answer(is_awaited(&o->job), true, "rcu.awaited");
	CHECK_AND_FREE(o, 1, "rcu");
	return 0;
}

struct guarded_srcu {
	struct srcu_struct it;
	u32 canary[CANARIES];
};

static int run_srcu(void)
{
	struct guarded_srcu *guarded = kzalloc(sizeof(*guarded), GFP_KERNEL);
	struct deferred_rcu *o;
	int place;

	if (!guarded)
		return -ENOMEM;
	if (!NEW(o)) {
		kfree(guarded);
		return -ENOMEM;
	}
	fill(guarded->canary);
	answer(init_srcu_struct(&guarded->it), 0, "srcu.init");
	place = srcu_read_lock(&guarded->it);
	call_srcu(&guarded->it, &o->it, on_grace);
	answer(atomic_read(&o->job.runs), 0, "srcu.waits");
	srcu_read_unlock(&guarded->it, place);
	srcu_barrier(&guarded->it);
	answer(is_awaited(&o->job), true, "srcu.awaited");
	cleanup_srcu_struct(&guarded->it);
	answer(dead(guarded->canary), 0, "srcu.canary_of_domain");
	kfree(guarded);
	CHECK_AND_FREE(o, 1, "srcu");
	return 0;
}

VENDOR_GROUPS(
	{ "timer", run_timer },
	{ "hrtimer", run_hrtimer },
	{ "work", run_work },
	{ "delayed", run_delayed },
	{ "queue", run_queue },
	{ "tasklet", run_tasklet },
	{ "cross", run_cross },
	{ "thread", run_thread },
	{ "rcu", run_rcu },
	{ "srcu", run_srcu },
);

VENDOR_MODULE(no_set_up, no_tear_down);
MODULE_DESCRIPTION("Vendor module that has work done later");
