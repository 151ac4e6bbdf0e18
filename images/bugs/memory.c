// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deliberate bugs with memory: with a function of the kernel, or with the
 * module's own loads and stores. None of them damages what is in use: they stay
 * within the allocator's size, and freed objects are in KASAN's quarantine.
 */
#include "bugs.h"

#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#define SIZE	40

/* Longer than an object, but not longer than the 64 bytes that are allocated for it */
#define TEXT	"a text that is longer than the object it is copied to"

/* What is freed must stay as it is, but KASAN and SLUB write to the first bytes and to the middle. */
struct victim {
	char first[128];
	union {
		char text[64];
		struct completion completion;
		struct kobject kobject;
		struct list_head list;
		struct mutex mutex;
		struct timer_list timer;
		struct work_struct work;
		wait_queue_head_t queue;
	};
	char last[256];
};

static char *object;
static struct victim *victim;
/* What is copied from and to, with room for all of it */
static char buffer[2 * SIZE];
static char variable[SIZE];
/* Unknown to the compiler, which would otherwise not call the function */
static size_t size, beyond;
static const char *text;

static void set_up_sizes(void)
{
	size = SIZE;
	OPTIMIZER_HIDE_VAR(size);
	beyond = SIZE + 1;
	OPTIMIZER_HIDE_VAR(beyond);
	text = TEXT;
	OPTIMIZER_HIDE_VAR(text);
}

static bool set_up(void)
{
	set_up_sizes();
	object = kzalloc(SIZE, GFP_KERNEL);
	OPTIMIZER_HIDE_VAR(object);
	return object;
}

static bool set_up_victim(void)
{
	set_up_sizes();
	victim = kzalloc(sizeof(*victim), GFP_KERNEL);
	return victim;
}

static void free_victim(void)
{
	kfree(victim);
	OPTIMIZER_HIDE_VAR(victim);
}

static void memcpy_behind(void)
{
	if (set_up())
		memcpy(object, buffer, beyond);
}

static void memcpy_from_behind(void)
{
	if (set_up())
		memcpy(buffer, object, beyond);
}

static void memmove_behind(void)
{
	if (set_up())
		memmove(object + 1, object, size);
}

static void memset_behind(void)
{
	if (set_up())
		memset(object, 0, beyond);
}

static void memset_in_front(void)
{
	if (set_up())
		memset(object - 1, 0, size);
}

static void memcmp_behind(void)
{
	if (set_up() && memcmp(object, buffer, beyond))
		pr_info("the memory differs\n");
}

static void strcpy_behind(void)
{
	if (set_up())
		strcpy(object, text);
}

static void strscpy_behind(void)
{
	if (set_up())
		strscpy(object, text, sizeof(TEXT));
}

static void snprintf_behind(void)
{
	if (set_up())
		snprintf(object, sizeof(TEXT), "%s", text);
}

static void dump_behind(void)
{
	if (set_up())
		print_hex_dump(KERN_INFO, "object: ", DUMP_PREFIX_NONE, 16, 1, object, beyond, false);
}

static void __user *new_page_of_user(void)
{
	return (void __user *)vm_mmap(NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, 0);
}

static void copy_to_user_behind(void)
{
	void __user *page = new_page_of_user();

	if (set_up() && copy_to_user(page, object, beyond))
		pr_info("not all was copied\n");
}

static void copy_from_user_behind(void)
{
	void __user *page = new_page_of_user();

	if (set_up() && copy_from_user(object, page, beyond))
		pr_info("not all was copied\n");
}

static void store_behind(void)
{
	if (set_up())
		WRITE_ONCE(object[SIZE], 0);
}

static void load_behind(void)
{
	if (set_up())
		READ_ONCE(object[SIZE]);
}

static void store_behind_in_loop(void)
{
	size_t i;

	if (!set_up())
		return;
	for (i = 0; i < beyond; i++)
		WRITE_ONCE(object[i], i);
}

/* Begins in the object, and ends behind it. */
static void load_across_end(void)
{
	if (set_up())
		READ_ONCE(*(u16 *)(object + SIZE - 1));
}

static void memcpy_freed(void)
{
	if (!set_up_victim())
		return;
	free_victim();
	memcpy(buffer, victim->text, size);
}

static void strlen_freed(void)
{
	if (!set_up_victim())
		return;
	free_victim();
	pr_info("%zu characters\n", strlen(victim->text));
}

static void kstrdup_freed(void)
{
	if (!set_up_victim())
		return;
	free_victim();
	kfree(kstrdup(victim->text, GFP_KERNEL));
}

static void printk_freed(void)
{
	if (!set_up_victim())
		return;
	free_victim();
	pr_info("the text is \"%s\"\n", victim->text);
}

static void list_add_freed(void)
{
	static struct list_head entry;

	if (!set_up_victim())
		return;
	INIT_LIST_HEAD(&victim->list);
	free_victim();
	list_add(&entry, &victim->list);
}

static void wake_up_freed(void)
{
	if (!set_up_victim())
		return;
	init_waitqueue_head(&victim->queue);
	free_victim();
	wake_up(&victim->queue);
}

static void complete_freed(void)
{
	if (!set_up_victim())
		return;
	init_completion(&victim->completion);
	free_victim();
	complete(&victim->completion);
}

static void mutex_lock_freed(void)
{
	if (!set_up_victim())
		return;
	mutex_init(&victim->mutex);
	free_victim();
	mutex_lock(&victim->mutex);
	mutex_unlock(&victim->mutex);
}

static void kobject_released(struct kobject *unused)
{
}

static void kobject_get_freed(void)
{
	static struct kobj_type type = { .release = kobject_released };

	if (!set_up_victim())
		return;
	kobject_init(&victim->kobject, &type);
	free_victim();
	kobject_get(&victim->kobject);
}

static void expired(struct timer_list *unused)
{
}

static void mod_timer_freed(void)
{
	if (!set_up_victim())
		return;
	timer_setup(&victim->timer, expired, 0);
	free_victim();
	mod_timer(&victim->timer, jiffies + 60 * HZ);
	del_timer(&victim->timer);
}

static void worked(struct work_struct *unused)
{
}

static void queue_work_freed(void)
{
	if (!set_up_victim())
		return;
	INIT_WORK(&victim->work, worked);
	free_victim();
	schedule_work(&victim->work);
	flush_work(&victim->work);
}

static void krealloc_freed(void)
{
	if (!set_up())
		return;
	kfree(object);
	OPTIMIZER_HIDE_VAR(object);
	object = krealloc(object, 2 * SIZE, GFP_KERNEL);
}

static void store_freed(void)
{
	if (!set_up_victim())
		return;
	free_victim();
	WRITE_ONCE(victim->text[0], 0);
}

static void load_freed(void)
{
	if (!set_up_victim())
		return;
	free_victim();
	READ_ONCE(victim->text[0]);
}

static void double_free(void)
{
	if (!set_up())
		return;
	kfree(object);
	OPTIMIZER_HIDE_VAR(object);
	kfree(object);
}

static void free_middle(void)
{
	if (set_up())
		kfree(object + sizeof(long));
}

static void double_free_to_cache(void)
{
	struct kmem_cache *cache = kmem_cache_create("bugs", SIZE, 0, 0, NULL);

	if (!cache)
		return;
	object = kmem_cache_alloc(cache, GFP_KERNEL);
	if (!object)
		return;
	kmem_cache_free(cache, object);
	OPTIMIZER_HIDE_VAR(object);
	kmem_cache_free(cache, object);
}

static void memcpy_freed_pages(void)
{
	unsigned long pages = __get_free_pages(GFP_KERNEL, 2);

	set_up_sizes();
	if (!pages)
		return;
	free_pages(pages, 2);
	memcpy(buffer, (void *)pages, size);
}

static void memset_behind_vmalloc(void)
{
	char *memory = vmalloc(SIZE);

	set_up_sizes();
	OPTIMIZER_HIDE_VAR(memory);
	if (memory)
		memset(memory, 0, beyond);
}

static void memcpy_vfreed(void)
{
	char *memory = vmalloc(SIZE);

	set_up_sizes();
	if (!memory)
		return;
	vfree(memory);
	OPTIMIZER_HIDE_VAR(memory);
	memcpy(buffer, memory, size);
}

static void load_freed_pages(void)
{
	unsigned long pages = __get_free_pages(GFP_KERNEL, 2);

	if (!pages)
		return;
	free_pages(pages, 2);
	READ_ONCE(*(char *)pages);
}

static void store_behind_vmalloc(void)
{
	char *memory = vmalloc(SIZE);

	OPTIMIZER_HIDE_VAR(memory);
	if (memory)
		WRITE_ONCE(memory[SIZE], 0);
}

/* Only read: what is behind the variable is in use. */
static void memcpy_from_behind_stack(void)
{
	char local[SIZE] = { };

	set_up_sizes();
	memcpy(buffer, local, beyond);
}

static void memcpy_from_behind_variable(void)
{
	char *start = variable;

	set_up_sizes();
	OPTIMIZER_HIDE_VAR(start);
	memcpy(buffer, start, beyond);
}

static void load_behind_stack(void)
{
	char local[SIZE] = { };
	char *start = local;

	OPTIMIZER_HIDE_VAR(start);
	READ_ONCE(start[SIZE]);
}

static void load_behind_variable(void)
{
	char *start = variable;

	OPTIMIZER_HIDE_VAR(start);
	READ_ONCE(start[SIZE]);
}

BUGS(
	{ "memcpy-behind", memcpy_behind },
	{ "memcpy-from-behind", memcpy_from_behind },
	{ "memmove-behind", memmove_behind },
	{ "memset-behind", memset_behind },
	{ "memset-in-front", memset_in_front },
	{ "memcmp-behind", memcmp_behind },
	{ "strcpy-behind", strcpy_behind },
	{ "strscpy-behind", strscpy_behind },
	{ "snprintf-behind", snprintf_behind },
	{ "dump-behind", dump_behind },
	{ "copy-to-user-behind", copy_to_user_behind },
	{ "copy-from-user-behind", copy_from_user_behind },
	{ "store-behind", store_behind },
	{ "load-behind", load_behind },
	{ "store-behind-in-loop", store_behind_in_loop },
	{ "load-across-end", load_across_end },
	{ "memcpy-freed", memcpy_freed },
	{ "strlen-freed", strlen_freed },
	{ "kstrdup-freed", kstrdup_freed },
	{ "printk-freed", printk_freed },
	{ "list-add-freed", list_add_freed },
	{ "wake-up-freed", wake_up_freed },
	{ "complete-freed", complete_freed },
	{ "mutex-lock-freed", mutex_lock_freed },
	{ "kobject-get-freed", kobject_get_freed },
	{ "mod-timer-freed", mod_timer_freed },
	{ "queue-work-freed", queue_work_freed },
	{ "krealloc-freed", krealloc_freed },
	{ "store-freed", store_freed },
	{ "load-freed", load_freed },
	{ "double-free", double_free },
	{ "free-middle", free_middle },
	{ "double-free-to-cache", double_free_to_cache },
	{ "memcpy-freed-pages", memcpy_freed_pages },
	{ "memset-behind-vmalloc", memset_behind_vmalloc },
	{ "memcpy-vfreed", memcpy_vfreed },
	{ "load-freed-pages", load_freed_pages },
	{ "store-behind-vmalloc", store_behind_vmalloc },
	{ "memcpy-from-behind-stack", memcpy_from_behind_stack },
	{ "memcpy-from-behind-variable", memcpy_from_behind_variable },
	{ "load-behind-stack", load_behind_stack },
	{ "load-behind-variable", load_behind_variable },
);
MODULE_DESCRIPTION("Deliberate bugs with memory");
