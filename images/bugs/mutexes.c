// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deliberate bugs with mutexes. mutex_trylock() always checks its mutex, but
 * mutex_lock() does so only if the mutex is locked.
 */
#include "bugs.h"

#include <linux/mutex.h>
#include <linux/slab.h>

static DEFINE_MUTEX(mutex);

static void take(void)
{
	mutex_lock(&mutex);
}

static void use(struct mutex *any)
{
	if (mutex_trylock(any))
		mutex_unlock(any);
}

static void not_locked(void)
{
	mutex_unlock(&mutex);
}

static void wrong_owner(void)
{
	by_another_task(0, take);
	mutex_unlock(&mutex);
}

static void zeroed(void)
{
	struct mutex *new = kzalloc(sizeof(*new), GFP_KERNEL);

	if (!new)
		return;
	use(new);
	kfree(new);
}

static void freed(void)
{
	struct mutex *old = kmalloc(sizeof(*old), GFP_KERNEL);

	if (!old)
		return;
	mutex_init(old);
	kfree(old);
	OPTIMIZER_HIDE_VAR(old);
	use(old);
}

static void destroyed_locked(void)
{
	mutex_lock(&mutex);
	mutex_destroy(&mutex);
}

static void destroyed(void)
{
	mutex_destroy(&mutex);
	use(&mutex);
}

BUGS(
	{ "not-locked", not_locked },
	{ "wrong-owner", wrong_owner },
	{ "zeroed", zeroed },
	{ "freed", freed },
	{ "destroyed-locked", destroyed_locked },
	{ "destroyed", destroyed },
);
MODULE_DESCRIPTION("Deliberate bugs with mutexes");
