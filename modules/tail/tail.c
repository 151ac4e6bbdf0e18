// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tail of struct task_struct, after the members that tracing adds: the count
 * of pagefault_disable(), which is inlined here and read by the kernel's fault
 * handler, and the timer slack, which a macro reads here. Also the state of a
 * task, which drivers set.
 */
#include "vendor.h"

#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#define CHUNK	64
#define ROUNDS	3

static const char text[CHUNK] = "text";

/* Map memory of the process that was never touched, so that its first access faults. */
static char __user *map_fresh(void)
{
	return (char __user *)vm_mmap(NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, 0);
}

static void unmap(char __user *fresh)
{
	vm_munmap((unsigned long)fresh, PAGE_SIZE);
}

static unsigned long copy_nested(char *to, const char __user *fresh)
{
	unsigned long left;

	pagefault_disable();
	pagefault_disable();
	pagefault_enable();
	left = __copy_from_user_inatomic(to, fresh, CHUNK);
	pagefault_enable();
	return left;
}

static unsigned long copy_atomic(struct page *page, const char __user *fresh)
{
	void *mapped = kmap_atomic(page);
	unsigned long left;

	left = __copy_from_user_inatomic(mapped, fresh, CHUNK);
	kunmap_atomic(mapped);
	return left;
}

/* If the fault is not handled, nothing is copied; the kernel's fault handler reads the count. */
static int run_fault(void)
{
	struct page *page = alloc_page(GFP_KERNEL);
	char __user *fresh = map_fresh(), *other = map_fresh();
	unsigned long left;
	char *buffer;

	if (!page || IS_ERR(fresh) || IS_ERR(other))
		return -ENOMEM;
	buffer = page_address(page);
	memset(buffer, 1, CHUNK);

	pagefault_disable();
	left = __copy_from_user_inatomic(buffer, fresh, CHUNK);
	pagefault_enable();
	answer(left, CHUNK, "fault.disabled");
	answer(copy_nested(buffer, fresh), CHUNK, "fault.nested");
	answer(copy_atomic(page, fresh), CHUNK, "fault.kmap_atomic");
	answer(copy_from_user(buffer, fresh, CHUNK), 0, "fault.enabled");
	answer(!memchr_inv(buffer, 0, CHUNK), true, "fault.content");

	pagefault_disable();
	left = __copy_to_user_inatomic(other, text, CHUNK);
	pagefault_enable();
	answer(left, CHUNK, "fault.write_disabled");
	answer(copy_to_user(other, text, CHUNK), 0, "fault.write_enabled");
	left = copy_from_user(buffer, other, CHUNK);
	answer(!left && !memcmp(buffer, text, CHUNK), true, "fault.written");

	unmap(other);
	unmap(fresh);
	__free_page(page);
	return 0;
}

/* The count itself must be balanced at every level. */
static int run_count(void)
{
	bool ok = true;
	int i;

	answer(pagefault_disabled(), false, "count.idle");
	for (i = 0; i < ROUNDS; i++) {
		pagefault_disable();
		ok &= pagefault_disabled() && current->pagefault_disabled == i + 1;
	}
	for (i = 0; i < ROUNDS; i++) {
		ok &= pagefault_disabled() && faulthandler_disabled();
		pagefault_enable();
	}
	answer(ok, true, "count.nested");
	answer(current->pagefault_disabled, 0, "count.back");
	return 0;
}

static int run_kmap(void)
{
	struct page *page = alloc_page(GFP_KERNEL);
	u32 *word;
	u32 seen;

	if (!page)
		return -ENOMEM;
	word = kmap_local_page(page);
	*word = CANARY;
	kunmap_local(word);
	word = kmap_atomic(page);
	answer(pagefault_disabled(), true, "kmap.disabled");
	seen = *word;
	kunmap_atomic(word);
	answer(seen, CANARY, "kmap.content");
	answer(pagefault_disabled(), false, "kmap.enabled");
	__free_page(page);
	return 0;
}

/* A wait takes at least the requested time; a busy host may add to it. */
#define answer_time(started, asked_ns, name)	\
	answer(ktime_to_ns(ktime_sub(ktime_get(), started)) >= (asked_ns), true, name)

static int run_sleep(void)
{
	DECLARE_WAIT_QUEUE_HEAD_ONSTACK(queue);
	const u64 asked = NSEC_PER_MSEC;
	ktime_t started, expires;
	long left;
	int i;

	/* The slack of its timer is current->timer_slack_ns. */
	started = ktime_get();
	left = wait_event_interruptible_hrtimeout(queue, false, ns_to_ktime(asked));
	answer(left, -ETIME, "hrtimeout.result");
	answer_time(started, asked, "hrtimeout.time");

	started = ktime_get();
	expires = ns_to_ktime(asked);
	set_current_state(TASK_UNINTERRUPTIBLE);
	left = schedule_hrtimeout_range(&expires, current->timer_slack_ns, HRTIMER_MODE_REL);
	answer(left, 0, "hrtimer_range.result");
	answer_time(started, asked, "hrtimer_range.time");

	for (i = 0; i < ROUNDS; i++) {
		set_current_state(TASK_INTERRUPTIBLE);
		left += schedule_timeout(1);
	}
	answer(left, 0, "schedule.left");
	answer(READ_ONCE(current->__state), TASK_RUNNING, "schedule.running");

	/* Wake this task before it sleeps: the kernel reads the state that was set here. */
	set_current_state(TASK_UNINTERRUPTIBLE);
	answer(wake_up_process(current), 1, "state.woken");
	answer(READ_ONCE(current->__state), TASK_RUNNING, "state.running");
	return 0;
}

static int run_stack(void)
{
	int local;

	answer(object_is_on_stack(&local), true, "stack.local");
	answer(object_is_on_stack(text), false, "stack.static");
	answer(task_stack_end_corrupted(current), false, "stack.end");
	answer(refcount_read(&current->stack_refcount), 1, "stack.users");
	return 0;
}

static unsigned long timer_slack(void)
{
	return current->timer_slack_ns;
}
VENDOR_SHOWS(timer_slack);

VENDOR_GROUPS(
	{ "fault", run_fault },
	{ "count", run_count },
	{ "kmap", run_kmap },
	{ "sleep", run_sleep },
	{ "stack", run_stack },
);

VENDOR_MODULE(no_set_up, no_tear_down);
MODULE_DESCRIPTION("Vendor module that uses the tail of task_struct");
