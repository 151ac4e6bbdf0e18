// SPDX-License-Identifier: GPL-2.0-only
/*
 * Allocates memory under a lock that memory reclaim takes as well, but never
 * while anybody could reclaim what the lock belongs to. It says so by
 * __GFP_NOLOCKDEP, which is 0 in a kernel without lockdep.
 */
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/version.h>

#define NR_ENTRIES	16

struct entry {
	struct mutex lock;
	struct list_head list;
	void *data;
};

static LIST_HEAD(entries); /* that may be reclaimed */
static DEFINE_SPINLOCK(entries_lock);

static unsigned int freed;
module_param(freed, uint, 0444);

static struct entry *take_entry(void)
{
	struct entry *entry;

	spin_lock(&entries_lock);
	entry = list_first_entry_or_null(&entries, struct entry, list);
	if (entry)
		list_del(&entry->list);
	spin_unlock(&entries_lock);
	return entry;
}

static bool free_one(void)
{
	struct entry *entry = take_entry();

	if (!entry)
		return false;
	mutex_lock(&entry->lock);
	kfree(entry->data);
	mutex_unlock(&entry->lock);
	kfree(entry);
	return true;
}

static int add_entry(void)
{
	struct entry *entry = kzalloc(sizeof(*entry), GFP_KERNEL);

	if (!entry)
		return -ENOMEM;
	mutex_init(&entry->lock);
	mutex_lock(&entry->lock);
	entry->data = kmalloc(1000, GFP_KERNEL | __GFP_NOLOCKDEP);
	mutex_unlock(&entry->lock);
	spin_lock(&entries_lock);
	list_add(&entry->list, &entries);
	spin_unlock(&entries_lock);
	return 0;
}

static unsigned long count(struct shrinker *shrinker, struct shrink_control *control)
{
	return NR_ENTRIES;
}

static unsigned long scan(struct shrinker *shrinker, struct shrink_control *control)
{
	if (!free_one())
		return SHRINK_STOP;
	freed++;
	return 1;
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
static struct shrinker shrinker = { .count_objects = count, .scan_objects = scan, .seeks = DEFAULT_SEEKS };

static int begin(void)
{
	return register_shrinker(&shrinker, "reclaimed");
}

static void end(void)
{
	unregister_shrinker(&shrinker);
}
#else
static struct shrinker *shrinker;

static int begin(void)
{
	shrinker = shrinker_alloc(0, "reclaimed");
	if (!shrinker)
		return -ENOMEM;
	shrinker->count_objects = count;
	shrinker->scan_objects = scan;
	shrinker_register(shrinker);
	return 0;
}

static void end(void)
{
	shrinker_free(shrinker);
}
#endif

static int __init reclaimed_init(void)
{
	int i, ret = begin();

	for (i = 0; i < NR_ENTRIES && !ret; i++) {
		ret = add_entry();
		if (ret)
			end();
	}
	return ret;
}

static void __exit reclaimed_exit(void)
{
	end();
	while (free_one())
		;
}

module_init(reclaimed_init);
module_exit(reclaimed_exit);

MODULE_DESCRIPTION("Takes a lock in reclaim, and allocates under it");
MODULE_LICENSE("GPL");
