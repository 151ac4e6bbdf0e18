// SPDX-License-Identifier: GPL-2.0
/*
 * The tail of struct task_struct, behind what tracing adds to it: the count of
 * pagefault_disable(), which is inlined here and read by the kernel's fault
 * handler, and the timer slack, which a macro reads here. Also what a driver
 * does to the state of its task.
 */
#include "vendor.h"

#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/miscdevice.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#define CHUNK	64
#define ROUNDS	3

/* Requests of the ioctl; the argument is the address of memory that was never touched. */
#define COPY_DISABLED	0x7401	/* with faults disabled, nothing can be copied */
#define COPY_NESTED	0x7402	/* disabled twice, enabled once */
#define COPY_ATOMIC	0x7403	/* kmap_atomic() disables faults as well */
#define COPY_ENABLED	0x7404	/* disabled, tried, enabled: the same memory can be copied */
#define COPY_WRITE	0x7405	/* the same to user space */

/* Returns what was not copied. */
static unsigned long copy(const char __user *from)
{
	char buffer[CHUNK];

	return __copy_from_user_inatomic(buffer, from, CHUNK);
}

static long copy_disabled(const char __user *from)
{
	long left;

	pagefault_disable();
	left = copy(from);
	pagefault_enable();
	return left;
}

static long copy_nested(const char __user *from)
{
	long left;

	pagefault_disable();
	pagefault_disable();
	pagefault_enable();
	left = copy(from);
	pagefault_enable();
	return left;
}

static long copy_atomic(const char __user *from)
{
	struct page *page = alloc_page(GFP_KERNEL);
	void *mapped;
	long left;

	if (!page)
		return -ENOMEM;
	mapped = kmap_atomic(page);
	left = __copy_from_user_inatomic(mapped, from, CHUNK);
	kunmap_atomic(mapped);
	__free_page(page);
	return left;
}

static long copy_enabled(const char __user *from)
{
	char buffer[CHUNK];

	if (copy_disabled(from) != CHUNK)
		return -EIO;
	return copy_from_user(buffer, from, CHUNK);
}

static long copy_write(char __user *to)
{
	static const char text[CHUNK] = "text";
	long left;

	pagefault_disable();
	left = __copy_to_user_inatomic(to, text, CHUNK);
	pagefault_enable();
	return left == CHUNK ? copy_to_user(to, text, CHUNK) : -EIO;
}

static long device_ioctl(struct file *file, unsigned int request, unsigned long arg)
{
	char __user *user = (char __user *)arg;

	if (!access_ok(user, CHUNK))
		return -EFAULT;
	switch (request) {
	case COPY_DISABLED:
		return copy_disabled(user);
	case COPY_NESTED:
		return copy_nested(user);
	case COPY_ATOMIC:
		return copy_atomic(user);
	case COPY_ENABLED:
		return copy_enabled(user);
	case COPY_WRITE:
		return copy_write(user);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations device_operations = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = device_ioctl,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "modcompat_" KBUILD_MODNAME,
	.fops = &device_operations,
	.mode = 0600,
};

/* The count itself, in balance at every level. */
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

/* A time that was waited for: not less than asked, nor very much more (guests may be slow). */
#define answer_time(started, asked_ns, name)					\
	answer(ktime_to_ns(ktime_sub(ktime_get(), started)) >= (asked_ns) &&	\
	       ktime_to_ns(ktime_sub(ktime_get(), started)) < NSEC_PER_SEC, true, name)

static int run_sleep(void)
{
	DECLARE_WAIT_QUEUE_HEAD_ONSTACK(queue);
	const u64 asked = NSEC_PER_MSEC;
	ktime_t started, expires;
	long left;
	int i;

	/* Its timer's slack is current->timer_slack_ns. */
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

	/* Woken before it sleeps: the kernel sees the state that was set here. */
	set_current_state(TASK_UNINTERRUPTIBLE);
	answer(wake_up_process(current), 1, "state.woken");
	answer(READ_ONCE(current->__state), TASK_RUNNING, "state.running");
	return 0;
}

static int run_stack(void)
{
	int local;

	answer(object_is_on_stack(&local), true, "stack.local");
	answer(object_is_on_stack(&device), false, "stack.static");
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
	{ "count", run_count },
	{ "kmap", run_kmap },
	{ "sleep", run_sleep },
	{ "stack", run_stack },
);

static int __init set_up(void)
{
	return misc_register(&device);
}

static void tear_down(void)
{
	misc_deregister(&device);
}

VENDOR_MODULE(set_up, tear_down);
MODULE_DESCRIPTION("Vendor module that uses the tail of task_struct");
