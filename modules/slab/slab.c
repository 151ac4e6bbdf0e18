// SPDX-License-Identifier: GPL-2.0-only
/*
 * Allocators: caches with a constructor, every size class, krealloc(), zeroing,
 * pools, vmalloc() and pages. Every requested byte is written.
 */
#include "vendor.h"

#include <linux/gfp.h>
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#define PATTERN	0x3c
#define BATCH	16

static bool is_filled(const void *memory, u8 with, size_t size)
{
	return !memchr_inv(memory, with, size);
}

/* Caches. The constructor runs once per object, and its data survives the users. */

#define CONSTRUCTED	0x600dc0de

struct object {
	u32 head;
	u8 body[72];
	u32 tail;
};

static void construct(void *memory)
{
	struct object *o = memory;

	o->head = CONSTRUCTED;
	memset(o->body, PATTERN, sizeof(o->body));
	o->tail = ~CONSTRUCTED;
}

static bool is_constructed(const struct object *o)
{
	return o->head == CONSTRUCTED && o->tail == ~CONSTRUCTED && is_filled(o->body, PATTERN, sizeof(o->body));
}

static void check_constructor(struct kmem_cache *cache)
{
	struct object *objects[BATCH] = { NULL };
	unsigned int fresh = 0, again = 0, aligned = 0;
	int i, round;

	for (round = 0; round < 2; round++) {
		for (i = 0; i < BATCH; i++) {
			objects[i] = kmem_cache_alloc(cache, GFP_KERNEL);
			if (!objects[i])
				break;
			aligned += IS_ALIGNED((unsigned long)objects[i], cache_line_size());
			*(round ? &again : &fresh) += is_constructed(objects[i]);
		}
		while (i--)
			kmem_cache_free(cache, objects[i]);
	}
	answer(fresh, BATCH, "cache.constructed");
	answer(again, BATCH, "cache.survives");
	answer(aligned, 2 * BATCH, "cache.aligned");
}

static void check_bulk(struct kmem_cache *cache)
{
	void *objects[BATCH] = { NULL };
	unsigned int sound = 0;
	int i, got;

	got = kmem_cache_alloc_bulk(cache, GFP_KERNEL, BATCH, objects);
	answer(got, BATCH, "bulk.alloc");
	for (i = 0; i < got; i++)
		sound += is_constructed(objects[i]);
	answer(sound, BATCH, "bulk.constructed");
	kmem_cache_free_bulk(cache, got, objects);
}

static void check_pair(struct kmem_cache *one, struct kmem_cache *other)
{
	struct object *a = kmem_cache_zalloc(one, GFP_KERNEL);
	struct object *b = kmem_cache_zalloc(other, GFP_KERNEL);

	answer(a && is_filled(a, 0, sizeof(*a)), true, "pair.zeroed");
	if (a && b) {
		memset(a, 1, sizeof(*a));
		memset(b, 2, sizeof(*b));
		answer(is_filled(a, 1, sizeof(*a)) && is_filled(b, 2, sizeof(*b)), true, "pair.apart");
	}
	kmem_cache_free(one, a);
	kmem_cache_free(other, b);
}

static int run_caches(void)
{
	struct kmem_cache *built = kmem_cache_create("vendor_built", sizeof(struct object), 0,
						     SLAB_HWCACHE_ALIGN, construct);
	struct kmem_cache *one = KMEM_CACHE(object, 0);
	struct kmem_cache *other = kmem_cache_create("vendor_other", sizeof(struct object), 0, 0, NULL);

	answer(built && one && other, true, "cache.create");
	if (built && one && other) {
		answer(kmem_cache_size(built), sizeof(struct object), "cache.size");
		check_constructor(built);
		check_bulk(built);
		check_pair(one, other);
		answer(kmem_cache_shrink(built), 0, "cache.shrink");
	}
	kmem_cache_destroy(other);
	kmem_cache_destroy(one);
	kmem_cache_destroy(built);
	return 0;
}

/* kmalloc(): the cache is chosen at compile time for constant sizes, else at run time. */

static bool is_usable(u8 *memory, size_t size)
{
	bool usable = memory && ksize(memory) >= size;

	if (usable) {
		memset(memory, PATTERN, size);
		usable = is_filled(memory, PATTERN, size);
	}
	kfree(memory);
	return usable;
}

#define answer_constant(size)	answer(is_usable(kmalloc(size, GFP_KERNEL), size), true, "constant." #size)

static int run_sizes(void)
{
	size_t size;

	for (size = 8; size <= KMALLOC_MAX_CACHE_SIZE; size *= 2)
		answer(is_usable(kmalloc(size, GFP_KERNEL), size) &&
		       is_usable(kmalloc(size - 1, GFP_KERNEL), size - 1), true, "size.%zu", size);
	answer_constant(8);
	answer_constant(96);
	answer_constant(192);
	answer_constant(256);
	answer_constant(1024);
	size = 4 * KMALLOC_MAX_CACHE_SIZE;
	answer(is_usable(kmalloc(size, GFP_KERNEL), size), true, "size.large");
	return 0;
}

static void check_growing(void)
{
	u8 *memory = kmalloc(40, GFP_KERNEL), *grown;

	if (!memory)
		return;
	memset(memory, PATTERN, 40);
	grown = krealloc(memory, 4000, GFP_KERNEL | __GFP_ZERO);
	answer(grown && is_filled(grown, PATTERN, 40), true, "realloc.content");
	memory = grown ? krealloc(grown, 20, GFP_KERNEL) : NULL;
	answer(memory && is_filled(memory, PATTERN, 20), true, "realloc.shrunk");
	kfree(memory);
}

static void check_zeroed(void)
{
	static const size_t sizes[] = { 1, 24, 200, 1500, 5000 };
	unsigned int zeroed = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		u8 *memory = kzalloc(sizes[i], GFP_KERNEL);

		zeroed += memory && is_filled(memory, 0, sizes[i]);
		kfree(memory);
	}
	answer(zeroed, ARRAY_SIZE(sizes), "zero.kzalloc");
}

static void check_arrays(void)
{
	u64 *numbers = kcalloc(100, sizeof(*numbers), GFP_KERNEL);
	size_t huge = SIZE_MAX / 2;
	void *none;

	answer(numbers && is_filled(numbers, 0, 100 * sizeof(*numbers)), true, "array.kcalloc");
	kfree(numbers);
	OPTIMIZER_HIDE_VAR(huge);
	none = kmalloc_array(huge, 4, GFP_KERNEL);
	answer_pointer(none, NULL, "array.overflow");
	kfree(none);
}

static void check_copies(void)
{
	char *words = kstrdup("words", GFP_KERNEL);
	char *copy = kmemdup("words", 6, GFP_KERNEL);
	char *printed = kasprintf(GFP_KERNEL, "%s %d", "words", 7);

	answer(words && copy && !strcmp(words, "words") && !strcmp(words, copy), true, "copy.same");
	answer(printed && !strcmp(printed, "words 7"), true, "copy.printed");
	kfree(printed);
	kfree(copy);
	kfree(words);
}

static int run_helpers(void)
{
	check_growing();
	check_zeroed();
	check_arrays();
	check_copies();
	return 0;
}

/* Allocators on top of kmalloc() and below it */

static void check_pool(void)
{
	mempool_t *pool = mempool_create_kmalloc_pool(4, 256);
	unsigned int got;
	u8 *elements[4];

	answer(pool && pool->min_nr == 4 && pool->curr_nr == 4, true, "pool.full");
	if (!pool)
		return;
	for (got = 0; got < ARRAY_SIZE(elements); got++) {
		elements[got] = mempool_alloc(pool, GFP_KERNEL);
		if (!elements[got])
			break;
		memset(elements[got], PATTERN, 256);
	}
	answer(got, ARRAY_SIZE(elements), "pool.alloc");
	while (got--)
		mempool_free(elements[got], pool);
	answer(pool->curr_nr, 4, "pool.full_again");
	mempool_destroy(pool);
}

static void check_vmalloc(void)
{
	const size_t size = 3 * PAGE_SIZE + 100;
	u8 *memory = vzalloc(size);

	answer(memory && is_vmalloc_addr(memory) && is_filled(memory, 0, size), true, "vmalloc.zeroed");
	if (memory) {
		memset(memory, PATTERN, size);
		answer(is_filled(memory, PATTERN, size), true, "vmalloc.written");
		answer(*(u8 *)page_address(vmalloc_to_page(memory)), PATTERN, "vmalloc.page");
	}
	vfree(memory);
	memory = kvmalloc(size, GFP_KERNEL);
	answer(!!memory, true, "vmalloc.either");
	kvfree(memory);
}

/* struct page, read by inlined helpers */
static void check_pages(void)
{
	const unsigned int order = 2;
	struct page *pages = alloc_pages(GFP_KERNEL | __GFP_COMP | __GFP_ZERO, order);
	u8 *memory;

	answer(!!pages, true, "pages.alloc");
	if (!pages)
		return;
	memory = page_address(pages);
	answer(is_filled(memory, 0, PAGE_SIZE << order), true, "pages.zeroed");
	memset(memory, PATTERN, PAGE_SIZE << order);
	answer_pointer(virt_to_page(memory), pages, "pages.of_address");
	answer(page_count(pages), 1, "pages.count");
	answer(compound_order(pages), order, "pages.order");
	answer_pointer(compound_head(pages + 3), pages, "pages.head");
	get_page(pages + 1);
	answer(page_count(pages), 2, "pages.taken");
	put_page(pages + 1);
	__free_pages(pages, order);
}

static int run_pages(void)
{
	check_pool();
	check_vmalloc();
	check_pages();
	return 0;
}

VENDOR_GROUPS(
	{ "caches", run_caches },
	{ "sizes", run_sizes },
	{ "helpers", run_helpers },
	{ "pages", run_pages },
);

VENDOR_MODULE(no_set_up, no_tear_down);
MODULE_DESCRIPTION("Vendor module that uses the allocators");
