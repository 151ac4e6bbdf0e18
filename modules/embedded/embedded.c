// SPDX-License-Identifier: GPL-2.0-only
/*
 * Structures with an embedded lock, or with a pointer to themselves that debug
 * options add: their size (with canaries directly after each, on the heap, in
 * .data and on the stack), the results of their static initialisers, and the
 * inlined parts of their operations.
 */
#include "vendor.h"

#include <linux/completion.h>
#include <linux/idr.h>
#include <linux/kobject.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/ratelimit.h>
#include <linux/rwsem.h>
#include <linux/sched/signal.h>
#include <linux/semaphore.h>
#include <linux/slab.h>
#include <linux/swait.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#define ROUNDS	4
#define MANY	100

/* Each use_*() takes a newly initialised object. */

static bool use_mutex(struct mutex *m)
{
	bool ok = true;
	int round;

	for (round = 0; round < ROUNDS; round++) {
		mutex_lock(m);
		ok &= mutex_is_locked(m) && !mutex_trylock(m);
		mutex_unlock(m);
		ok &= !mutex_is_locked(m);
		ok &= !mutex_lock_interruptible(m);
		mutex_unlock(m);
	}
	return ok;
}

static bool use_wait_queue(wait_queue_head_t *q)
{
	DEFINE_WAIT(entry);
	bool ok = !waitqueue_active(q);

	prepare_to_wait(q, &entry, TASK_UNINTERRUPTIBLE);
	ok &= waitqueue_active(q);
	wake_up(q);
	finish_wait(q, &entry);
	return ok && !waitqueue_active(q) && wait_event_timeout(*q, true, HZ) > 0;
}

static bool use_completion(struct completion *c)
{
	bool ok = !try_wait_for_completion(c);
	int round;

	for (round = 0; round < ROUNDS; round++) {
		complete(c);
		ok &= completion_done(c);
		ok &= wait_for_completion_timeout(c, HZ) > 0;
		reinit_completion(c);
	}
	return ok;
}

static bool use_semaphore(struct semaphore *s)
{
	bool ok = true;
	int round;

	for (round = 0; round < ROUNDS; round++) {
		ok &= !down_timeout(s, HZ);
		ok &= down_trylock(s) == 1;
		up(s);
	}
	return ok;
}

static bool use_rwsem(struct rw_semaphore *s)
{
	bool ok = true;
	int round;

	for (round = 0; round < ROUNDS; round++) {
		down_read(s);
		ok &= rwsem_is_locked(s) && !down_write_trylock(s);
		up_read(s);
		down_write(s);
		ok &= !down_read_trylock(s);
		downgrade_write(s);
		ok &= down_read_trylock(s);
		up_read(s);
		up_read(s);
	}
	return ok && !rwsem_is_locked(s);
}

/* The burst is two, so the third call within the interval is suppressed. */
static bool use_ratelimit(struct ratelimit_state *r)
{
	return __ratelimit(r) && __ratelimit(r) && !__ratelimit(r) && r->missed == 1;
}

static bool use_xarray(struct xarray *x)
{
	unsigned long i, sum = 0;
	bool ok = xa_empty(x);
	void *entry;

	for (i = 0; i < MANY; i++)
		ok &= !xa_err(xa_store(x, i * i, xa_mk_value(i), GFP_KERNEL));
	xa_lock(x);
	ok &= xa_to_value(__xa_erase(x, 49)) == 7;
	xa_unlock(x);
	xa_for_each(x, i, entry)
		sum += xa_to_value(entry);
	ok &= sum == MANY * (MANY - 1) / 2 - 7;
	xa_destroy(x);
	return ok && xa_empty(x);
}

static bool use_ida(struct ida *ida)
{
	bool ok = ida_is_empty(ida);
	int i;

	for (i = 0; i < MANY; i++)
		ok &= ida_alloc(ida, GFP_KERNEL) == i;
	ida_free(ida, 7);
	ok &= ida_alloc(ida, GFP_KERNEL) == 7;
	ida_destroy(ida);
	return ok && ida_is_empty(ida);
}

static bool use_idr(struct idr *idr)
{
	bool ok = idr_is_empty(idr);
	int i;

	idr_preload(GFP_KERNEL);
	ok &= idr_alloc(idr, idr, 0, 0, GFP_NOWAIT) == 0;
	idr_preload_end();
	for (i = 1; i < MANY; i++)
		ok &= idr_alloc_cyclic(idr, idr, 0, 0, GFP_KERNEL) == i;
	for (i = 0; i < MANY; i++)
		ok &= idr_find(idr, i) == idr && idr_remove(idr, i) == idr;
	ok &= idr_is_empty(idr);
	idr_destroy(idr);
	return ok;
}

static int on_call(struct notifier_block *block, unsigned long event, void *data)
{
	*(unsigned long *)data += event;
	return NOTIFY_OK;
}

static struct notifier_block first = { .notifier_call = on_call, .priority = 1 };
static struct notifier_block second = { .notifier_call = on_call, .priority = 2 };

static bool use_atomic_notifier(struct atomic_notifier_head *head)
{
	unsigned long sum = 0;
	bool ok;

	ok = !atomic_notifier_chain_register(head, &first) && !atomic_notifier_chain_register(head, &second);
	ok &= atomic_notifier_call_chain(head, 5, &sum) == NOTIFY_OK && sum == 10;
	ok &= !atomic_notifier_chain_unregister(head, &first) && !atomic_notifier_chain_unregister(head, &second);
	return ok && !head->head;
}

static bool use_blocking_notifier(struct blocking_notifier_head *head)
{
	unsigned long sum = 0;
	bool ok;

	ok = !blocking_notifier_chain_register(head, &first) && !blocking_notifier_chain_register(head, &second);
	ok &= blocking_notifier_call_chain(head, 5, &sum) == NOTIFY_OK && sum == 10;
	ok &= !blocking_notifier_chain_unregister(head, &first) && !blocking_notifier_chain_unregister(head, &second);
	return ok && !head->head;
}

static bool use_swait(struct swait_queue_head *q)
{
	DECLARE_SWAITQUEUE(entry);
	bool ok = !swait_active(q);

	prepare_to_swait_exclusive(q, &entry, TASK_UNINTERRUPTIBLE);
	ok &= swait_active(q);
	swake_up_one(q);
	finish_swait(q, &entry);
	return ok && !swait_active(q);
}

/* The walk is inlined, and the list of waiters is behind the lock in its head. */
static bool use_wait_list(wait_queue_head_t *q)
{
	wait_queue_entry_t entry, *found;
	unsigned int count = 0;

	init_waitqueue_entry(&entry, current);
	add_wait_queue(q, &entry);
	spin_lock_irq(&q->lock);
	list_for_each_entry(found, &q->head, entry)
		count += found == &entry;
	spin_unlock_irq(&q->lock);
	remove_wait_queue(q, &entry);
	return count == 1;
}

static void init_one_semaphore(struct semaphore *s)
{
	sema_init(s, 1);
}

static void init_burst_of_two(struct ratelimit_state *r)
{
	ratelimit_state_init(r, 3600 * HZ, 2);
}

static void init_atomic_notifier(struct atomic_notifier_head *head)
{
	ATOMIC_INIT_NOTIFIER_HEAD(head);
}

static void init_blocking_notifier(struct blocking_notifier_head *head)
{
	BLOCKING_INIT_NOTIFIER_HEAD(head);
}

/* Use an object, and check the canaries after it. */
#define USE_CHECK(object, name, use)						\
do {										\
	answer(use(&(object)->it), true, name ".use");				\
	answer(dead((object)->canary), 0, name ".canary");			\
} while (0)

#define HEAP_CHECK(type, name, init, use)					\
do {										\
	GUARDED(type) *o = kmalloc(sizeof(*o), GFP_KERNEL);			\
										\
	if (!o)									\
		return -ENOMEM;							\
	fill(o->canary);							\
	init(&o->it);								\
	answer(dead(o->canary), 0, name ".init");				\
	USE_CHECK(o, name, use);						\
	kfree(o);								\
} while (0)

static int run_heap(void)
{
	HEAP_CHECK(struct mutex, "mutex", mutex_init, use_mutex);
	HEAP_CHECK(wait_queue_head_t, "wait_queue", init_waitqueue_head, use_wait_queue);
	HEAP_CHECK(wait_queue_head_t, "wait_list", init_waitqueue_head, use_wait_list);
	HEAP_CHECK(struct swait_queue_head, "swait", init_swait_queue_head, use_swait);
	HEAP_CHECK(struct completion, "completion", init_completion, use_completion);
	HEAP_CHECK(struct semaphore, "semaphore", init_one_semaphore, use_semaphore);
	HEAP_CHECK(struct rw_semaphore, "rwsem", init_rwsem, use_rwsem);
	HEAP_CHECK(struct ratelimit_state, "ratelimit", init_burst_of_two, use_ratelimit);
	HEAP_CHECK(struct xarray, "xarray", xa_init, use_xarray);
	HEAP_CHECK(struct ida, "ida", ida_init, use_ida);
	HEAP_CHECK(struct idr, "idr", idr_init, use_idr);
	HEAP_CHECK(struct atomic_notifier_head, "atomic_notifier", init_atomic_notifier, use_atomic_notifier);
	HEAP_CHECK(struct blocking_notifier_head, "blocking_notifier", init_blocking_notifier,
		   use_blocking_notifier);
	return 0;
}

/* Static initialisers such as DEFINE_MUTEX(), which fill .data at compile time */

#define STATIC_GUARDED(type, name, initialiser)	\
	static GUARDED(type) name = { .it = initialiser, .canary = CANARY_FILL }

STATIC_GUARDED(struct mutex, static_mutex, __MUTEX_INITIALIZER(static_mutex.it));
STATIC_GUARDED(wait_queue_head_t, static_wait_queue, __WAIT_QUEUE_HEAD_INITIALIZER(static_wait_queue.it));
STATIC_GUARDED(struct completion, static_completion, COMPLETION_INITIALIZER(static_completion.it));
STATIC_GUARDED(struct semaphore, static_semaphore, __SEMAPHORE_INITIALIZER(static_semaphore.it, 1));
STATIC_GUARDED(struct rw_semaphore, static_rwsem, __RWSEM_INITIALIZER(static_rwsem.it));
STATIC_GUARDED(struct ratelimit_state, static_ratelimit,
	       RATELIMIT_STATE_INIT(static_ratelimit.it, 3600 * HZ, 2));
STATIC_GUARDED(struct xarray, static_xarray, XARRAY_INIT(static_xarray.it, 0));
STATIC_GUARDED(struct ida, static_ida, IDA_INIT(static_ida.it));
STATIC_GUARDED(struct idr, static_idr, IDR_INIT(static_idr.it));
STATIC_GUARDED(struct atomic_notifier_head, static_atomic, ATOMIC_NOTIFIER_INIT(static_atomic.it));
STATIC_GUARDED(struct blocking_notifier_head, static_blocking, BLOCKING_NOTIFIER_INIT(static_blocking.it));

static int run_static(void)
{
	USE_CHECK(&static_mutex, "static_mutex", use_mutex);
	USE_CHECK(&static_wait_queue, "static_wait_queue", use_wait_queue);
	USE_CHECK(&static_completion, "static_completion", use_completion);
	USE_CHECK(&static_semaphore, "static_semaphore", use_semaphore);
	USE_CHECK(&static_rwsem, "static_rwsem", use_rwsem);
	USE_CHECK(&static_ratelimit, "static_ratelimit", use_ratelimit);
	USE_CHECK(&static_xarray, "static_xarray", use_xarray);
	USE_CHECK(&static_ida, "static_ida", use_ida);
	USE_CHECK(&static_idr, "static_idr", use_idr);
	USE_CHECK(&static_atomic, "static_atomic_notifier", use_atomic_notifier);
	USE_CHECK(&static_blocking, "static_blocking_notifier", use_blocking_notifier);
	return 0;
}

/* A completion on the stack, between canaries */
static int run_stack(void)
{
	struct {
		u32 before[CANARIES];
		struct completion it;
		u32 canary[CANARIES];
	} o;

	fill(o.before);
	fill(o.canary);
	init_completion(&o.it);
	USE_CHECK(&o, "stack_completion", use_completion);
	answer(dead(o.before), 0, "stack_completion.canary_before");
	return 0;
}

/* A kset, whose list both the kernel and the module walk */

struct item {
	struct kobject it;
	u32 canary[CANARIES];
	bool *released;
};

static void release_item(struct kobject *kobject)
{
	struct item *item = container_of(kobject, struct item, it);

	answer(dead(item->canary), 0, "kobject.canary");
	*item->released = true;
	kfree(item);
}

static const struct kobj_type item_type = {
	.release = release_item,
	.sysfs_ops = &kobj_sysfs_ops,
};

static int run_kset(void)
{
	struct kset *set = kset_create_and_add("set", NULL, &THIS_MODULE->mkobj.kobj);
	struct item *item = kzalloc(sizeof(*item), GFP_KERNEL);
	bool released = false;
	struct kobject *found;
	unsigned int count = 0;

	if (!set || !item) {
		kfree(item);
		if (set)
			kset_unregister(set);
		return -ENOMEM;
	}
	fill(item->canary);
	item->released = &released;
	item->it.kset = set;
	answer(kobject_init_and_add(&item->it, &item_type, NULL, "item"), 0, "kobject.add");
	spin_lock(&set->list_lock);
	list_for_each_entry(found, &set->list, entry)
		count += found == &item->it;
	spin_unlock(&set->list_lock);
	answer(count, 1, "kset.walk");
	found = kset_find_obj(set, "item");
	answer_pointer(found, item, "kset.find");
	kobject_put(found);
	kobject_put(&item->it);
	answer(released, true, "kobject.released");
	answer(list_empty(&set->list), true, "kset.empty");
	kset_unregister(set);
	return 0;
}

VENDOR_GROUPS(
	{ "heap", run_heap },
	{ "static", run_static },
	{ "stack", run_stack },
	{ "kset", run_kset },
);

VENDOR_MODULE(no_set_up, no_tear_down);
MODULE_DESCRIPTION("Vendor module that uses structures with locks in them");
