// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deliberate bugs with the life of timers, work items, RCU callbacks and
 * counters. Debug objects repair most of them; what they overlook is undone
 * here, so that the guest survives.
 */
#include "bugs.h"

#include <linux/gfp.h>
#include <linux/hrtimer.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/percpu_counter.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

/* Nothing expires before the guest ends. */
#define LATER		(600 * HZ)

static void expired(struct timer_list *unused)
{
}

static void arm(struct timer_list *timer)
{
	timer_setup(timer, expired, 0);
	mod_timer(timer, jiffies + LATER);
}

static void free_timer(void)
{
	struct timer_list *timer = kmalloc(sizeof(*timer), GFP_KERNEL);

	if (!timer)
		return;
	arm(timer);
	kfree(timer);
}

static void free_pages_with_timer(void)
{
	unsigned long page = __get_free_page(GFP_KERNEL);

	if (!page)
		return;
	arm((struct timer_list *)page);
	free_page(page);
}

static void init_timer_armed(void)
{
	static struct timer_list timer;

	arm(&timer);
	timer_setup(&timer, expired, 0);
}

static void mod_timer_zeroed(void)
{
	struct timer_list *timer = kzalloc(sizeof(*timer), GFP_KERNEL);

	if (!timer)
		return;
	mod_timer(timer, jiffies + LATER);
	del_timer(timer);
}

static void timer_on_stack(void)
{
	struct timer_list timer;

	arm(&timer);
	del_timer(&timer);
}

static void timer_not_on_stack(void)
{
	struct timer_list *timer = kmalloc(sizeof(*timer), GFP_KERNEL);

	if (timer)
		timer_setup_on_stack(timer, expired, 0);
}

static void leave_stack_with_timer(void)
{
	struct timer_list timer;

	timer_setup_on_stack(&timer, expired, 0);
	mod_timer(&timer, jiffies + LATER);
	destroy_timer_on_stack(&timer);
	if (timer_pending(&timer))
		del_timer(&timer);
}

static enum hrtimer_restart hrtimer_expired(struct hrtimer *unused)
{
	return HRTIMER_NORESTART;
}

static void arm_hrtimer(struct hrtimer *timer)
{
	hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	timer->function = hrtimer_expired;
	hrtimer_start(timer, ktime_set(600, 0), HRTIMER_MODE_REL);
}

static void free_hrtimer(void)
{
	struct hrtimer *timer = kmalloc(sizeof(*timer), GFP_KERNEL);

	if (!timer)
		return;
	arm_hrtimer(timer);
	kfree(timer);
}

static void init_hrtimer_armed(void)
{
	static struct hrtimer timer;

	arm_hrtimer(&timer);
	hrtimer_init(&timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
}

static void worked(struct work_struct *unused)
{
}

static void free_delayed_work(void)
{
	struct delayed_work *work = kmalloc(sizeof(*work), GFP_KERNEL);

	if (!work)
		return;
	INIT_DELAYED_WORK(work, worked);
	schedule_delayed_work(work, LATER);
	kfree(work);
}

static void init_delayed_work_queued(void)
{
	static struct delayed_work work;

	INIT_DELAYED_WORK(&work, worked);
	schedule_delayed_work(&work, LATER);
	INIT_DELAYED_WORK(&work, worked);
}

static DECLARE_COMPLETION(go_on);

static void wait_until_told(struct work_struct *unused)
{
	wait_for_completion(&go_on);
}

static DECLARE_WORK(first, wait_until_told);

/* A queue in which further items stay until resume(). */
static struct workqueue_struct *stuck_queue(void)
{
	struct workqueue_struct *queue = alloc_ordered_workqueue("bugs", 0);

	if (queue)
		queue_work(queue, &first);
	return queue;
}

static void resume(struct workqueue_struct *queue)
{
	complete(&go_on);
	destroy_workqueue(queue);
}

static void free_work(void)
{
	struct work_struct *work = kmalloc(sizeof(*work), GFP_KERNEL);
	struct workqueue_struct *queue = stuck_queue();

	if (!work || !queue)
		return;
	INIT_WORK(work, worked);
	queue_work(queue, work);
	kfree(work);
	resume(queue);
}

static void init_work_queued(void)
{
	static struct work_struct work, queued;
	struct workqueue_struct *queue = stuck_queue();

	if (!queue)
		return;
	INIT_WORK(&work, worked);
	queue_work(queue, &work);
	queued = work;
	INIT_WORK(&work, worked);
	/* If nobody took it off the queue before */
	if (queued.entry.prev->next == &work.entry)
		work = queued;
	resume(queue);
}

/* Not by INIT_WORK() */
static void work_zeroed(void)
{
	struct work_struct *work = kzalloc(sizeof(*work), GFP_KERNEL);

	if (!work)
		return;
	INIT_LIST_HEAD(&work->entry);
	work->func = worked;
	schedule_work(work);
	flush_work(work);
}

static void called(struct rcu_head *unused)
{
}

static void call_rcu_twice(void)
{
	static struct rcu_head head;

	rcu_read_lock();
	call_rcu(&head, called);
	call_rcu(&head, called);
	rcu_read_unlock();
	rcu_barrier();
}

/* KASAN and SLUB write to the first bytes and to the middle of a freed object. */
struct freed_by_rcu {
	char first[128];
	struct rcu_head head;
	char last[256];
};

static void kfree_rcu_twice(void)
{
	struct freed_by_rcu *object = kmalloc(sizeof(*object), GFP_KERNEL);

	if (!object)
		return;
	rcu_read_lock();
	kfree_rcu(object, head);
	kfree_rcu(object, head);
	rcu_read_unlock();
}

/* kfree() reports it again and again, until the callback was called. */
static void free_rcu_head(void)
{
	struct freed_by_rcu *object = kmalloc(sizeof(*object), GFP_KERNEL);

	if (!object)
		return;
	call_rcu(&object->head, called);
	kfree(object);
	rcu_barrier();
}

static void free_counter(void)
{
	struct percpu_counter *counter = kmalloc(sizeof(*counter), GFP_KERNEL);

	if (counter && !percpu_counter_init(counter, 0, GFP_KERNEL))
		kfree(counter);
}

BUGS(
	{ "free-timer", free_timer },
	{ "free-pages-with-timer", free_pages_with_timer },
	{ "init-timer-armed", init_timer_armed },
	{ "mod-timer-zeroed", mod_timer_zeroed },
	{ "timer-on-stack", timer_on_stack },
	{ "timer-not-on-stack", timer_not_on_stack },
	{ "leave-stack-with-timer", leave_stack_with_timer },
	{ "free-hrtimer", free_hrtimer },
	{ "init-hrtimer-armed", init_hrtimer_armed },
	{ "free-delayed-work", free_delayed_work },
	{ "init-delayed-work-queued", init_delayed_work_queued },
	{ "free-work", free_work },
	{ "init-work-queued", init_work_queued },
	{ "work-zeroed", work_zeroed },
	{ "call-rcu-twice", call_rcu_twice },
	{ "kfree-rcu-twice", kfree_rcu_twice },
	{ "free-rcu-head", free_rcu_head },
	{ "free-counter", free_counter },
);
MODULE_DESCRIPTION("Deliberate bugs with the life of objects");
