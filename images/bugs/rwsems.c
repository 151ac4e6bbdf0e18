// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deliberate bugs with rw-semaphores. Releases and trylocks check their
 * semaphore, but down_read() and down_write() do not.
 */
#include "bugs.h"

#include <linux/rwsem.h>
#include <linux/slab.h>

static DECLARE_RWSEM(semaphore);

static void take(void)
{
	down_write(&semaphore);
}

static void use(struct rw_semaphore *any)
{
	if (down_write_trylock(any))
		up_write(any);
}

static void not_read_locked(void)
{
	up_read(&semaphore);
}

static void not_write_locked(void)
{
	up_write(&semaphore);
}

static void wrong_writer(void)
{
	by_another_task(0, take);
	up_write(&semaphore);
}

static void wrong_downgrade(void)
{
	by_another_task(0, take);
	downgrade_write(&semaphore);
}

static void read_for_write(void)
{
	down_write(&semaphore);
	up_read(&semaphore);
}

static void zeroed(void)
{
	struct rw_semaphore *new = kzalloc(sizeof(*new), GFP_KERNEL);

	if (!new)
		return;
	use(new);
	kfree(new);
}

static void freed(void)
{
	struct rw_semaphore *old = kmalloc(sizeof(*old), GFP_KERNEL);

	if (!old)
		return;
	init_rwsem(old);
	kfree(old);
	OPTIMIZER_HIDE_VAR(old);
	use(old);
}

BUGS(
	{ "not-read-locked", not_read_locked },
	{ "not-write-locked", not_write_locked },
	{ "wrong-writer", wrong_writer },
	{ "wrong-downgrade", wrong_downgrade },
	{ "read-for-write", read_for_write },
	{ "zeroed", zeroed },
	{ "freed", freed },
);
MODULE_DESCRIPTION("Deliberate bugs with rw-semaphores");
