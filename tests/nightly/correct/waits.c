// SPDX-License-Identifier: GPL-2.0-only
/*
 * Takes a mutex where it is about to sleep, and annotates that this is meant.
 * With is_meant=0, it leaves out the annotation.
 */
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/wait.h>

static DECLARE_WAIT_QUEUE_HEAD(queue);
static DEFINE_MUTEX(lock);
static bool is_meant = true;
module_param(is_meant, bool, 0444);

static int __init waits_init(void)
{
	DEFINE_WAIT(wait);

	prepare_to_wait(&queue, &wait, TASK_INTERRUPTIBLE);
	if (is_meant)
		sched_annotate_sleep();
	mutex_lock(&lock);
	mutex_unlock(&lock);
	finish_wait(&queue, &wait);
	return 0;
}

static void __exit waits_exit(void)
{
}

module_init(waits_init);
module_exit(waits_exit);

MODULE_DESCRIPTION("Waits for a mutex before it waits");
MODULE_LICENSE("GPL");
