// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does what is right: takes more locks for one acquire context than lockdep has
 * room for (MAX_LOCK_DEPTH), in memory and on the stack, waits for RCU while it
 * holds them, and lets them go in another order. With release=1, it frees one
 * while it holds another, which lockdep takes for a bug if it is told of them.
 */
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/ww_mutex.h>

#define NR_LOCKS	100

static DEFINE_WW_CLASS(nested_class);
DEFINE_STATIC_SRCU(nested_srcu);
static struct srcu_struct *srcu_of_object;

static bool release;
module_param(release, bool, 0);

static int take_and_release(struct ww_mutex *locks, unsigned int count)
{
	struct ww_acquire_ctx context;
	unsigned int i, taken;
	int ret = 0;

	ww_acquire_init(&context, &nested_class);
	for (taken = 0; taken < count; taken++) {
		ret = ww_mutex_lock(&locks[taken], &context);
		if (ret)
			break;
	}
	ww_acquire_done(&context);
	synchronize_rcu();
	synchronize_srcu(&nested_srcu);
	synchronize_srcu(srcu_of_object);
	for (i = 0; i < taken; i += 2)
		ww_mutex_unlock(&locks[i]);
	for (i = 1; i < taken; i += 2)
		ww_mutex_unlock(&locks[i]);
	ww_acquire_fini(&context);
	return ret;
}

static int take_and_free(void)
{
	struct ww_mutex *one = kmalloc(sizeof(*one), GFP_KERNEL);
	struct ww_mutex *other = kmalloc(sizeof(*other), GFP_KERNEL);
	struct ww_acquire_ctx context;
	int ret = -ENOMEM;

	if (!one || !other)
		goto out;
	ww_mutex_init(one, &nested_class);
	ww_mutex_init(other, &nested_class);
	ww_acquire_init(&context, &nested_class);
	ret = ww_mutex_lock(one, &context);
	if (!ret)
		ret = ww_mutex_lock(other, &context);
	ww_acquire_done(&context);
	if (!ret) {
		ww_mutex_unlock(one);
		kfree(one);
		one = NULL;
		ww_mutex_unlock(other);
	}
	ww_acquire_fini(&context);
out:
	kfree(one);
	kfree(other);
	return ret;
}

static int __init nested_init(void)
{
	struct ww_mutex few[3];
	struct ww_mutex *many;
	unsigned int i;
	int ret;

	many = kmalloc_array(NR_LOCKS, sizeof(*many), GFP_KERNEL);
	srcu_of_object = kzalloc(sizeof(*srcu_of_object), GFP_KERNEL);
	ret = many && srcu_of_object ? init_srcu_struct(srcu_of_object) : -ENOMEM;
	if (ret)
		goto out;
	for (i = 0; i < NR_LOCKS; i++)
		ww_mutex_init(&many[i], &nested_class);
	for (i = 0; i < ARRAY_SIZE(few); i++)
		ww_mutex_init(&few[i], &nested_class);

	ret = take_and_release(many, NR_LOCKS);
	if (!ret)
		ret = take_and_release(few, ARRAY_SIZE(few));
	if (!ret && release)
		ret = take_and_free();
	cleanup_srcu_struct(srcu_of_object);
out:
	kfree(srcu_of_object);
	kfree(many);
	return ret;
}

static void __exit nested_exit(void)
{
}

module_init(nested_init);
module_exit(nested_exit);

MODULE_DESCRIPTION("Many locks for one context");
MODULE_LICENSE("GPL");
