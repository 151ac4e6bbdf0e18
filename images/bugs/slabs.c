// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deliberate bugs with objects of slab caches. Each bug has its own cache, so
 * that the object freed last is allocated next.
 */
#include "bugs.h"

#include <linux/slab.h>

#define SIZE	128

static struct kmem_cache *cache, *other;
static char *object;

static bool set_up(void)
{
	cache = kmem_cache_create("bugs", SIZE, 0, 0, NULL);
	other = kmem_cache_create("others", SIZE, 0, 0, NULL);
	if (!cache || !other)
		return false;
	object = kmem_cache_alloc(cache, GFP_KERNEL);
	OPTIMIZER_HIDE_VAR(object);
	return object;
}

static void overflow(void)
{
	if (!set_up())
		return;
	object[SIZE] = 0;
	kmem_cache_free(cache, object);
}

static void underflow(void)
{
	if (!set_up())
		return;
	object[-1] = 0;
	kmem_cache_free(cache, object);
}

static void used_after_free(void)
{
	if (!set_up())
		return;
	kmem_cache_free(cache, object);
	object[0] = 0;
	kmem_cache_free(cache, kmem_cache_alloc(cache, GFP_KERNEL));
}

/* Keep another object in use: an empty slab would cause a different report. */
static void double_free(void)
{
	if (!set_up() || !kmem_cache_alloc(cache, GFP_KERNEL))
		return;
	kmem_cache_free(cache, object);
	kmem_cache_free(cache, object);
}

static void wrong_cache(void)
{
	if (set_up())
		kmem_cache_free(other, object);
}

static void wrong_pointer(void)
{
	if (set_up())
		kmem_cache_free(cache, object + sizeof(long));
}

static void left_over(void)
{
	if (set_up())
		kmem_cache_destroy(cache);
}

/* After the object is a word of red zone, then the pointer to the next free object. */
static void free_list(void)
{
	unsigned long *behind;

	if (!set_up())
		return;
	behind = (unsigned long *)(object + SIZE);
	kmem_cache_free(cache, object);
	behind[1] = 0x12345678;
	kmem_cache_free(cache, kmem_cache_alloc(cache, GFP_KERNEL));
}

BUGS(
	{ "overflow", overflow },
	{ "underflow", underflow },
	{ "used-after-free", used_after_free },
	{ "double-free", double_free },
	{ "wrong-cache", wrong_cache },
	{ "wrong-pointer", wrong_pointer },
	{ "left-over", left_over },
	{ "free-list", free_list },
);
MODULE_DESCRIPTION("Deliberate bugs with objects of slab caches");
