// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proof that DEBUG_OBJECTS is live: this module frees an object with a timer that is
 * armed. The kernel must report it.
 */
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/timer.h>

struct object {
	struct timer_list timer;
};

static void expired(struct timer_list *timer)
{
}

static int __init proof_init(void)
{
	struct object *object = kzalloc(sizeof(*object), GFP_KERNEL);

	if (!object)
		return -ENOMEM;
	timer_setup(&object->timer, expired, 0);
	mod_timer(&object->timer, jiffies + 600 * HZ);
	kfree(object);
	return 0;
}

static void __exit proof_exit(void)
{
}

module_init(proof_init);
module_exit(proof_exit);

MODULE_DESCRIPTION("Frees an object with an armed timer");
MODULE_LICENSE("GPL");
