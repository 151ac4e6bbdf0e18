// SPDX-License-Identifier: GPL-2.0-only
/*
 * Proof that DEBUG_PAGEALLOC is live: this module writes to a page that it has
 * freed. If the kernel unmaps free pages, the write must fault. On arm, it fills
 * them with a pattern, and must report the write when the page is allocated
 * again. That is at once, because a CPU reuses the page that it freed last.
 */
#include <linux/gfp.h>
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/module.h>

static int __init proof_init(void)
{
	unsigned long flags;
	struct page *page;

	local_irq_save(flags);
	page = alloc_page(GFP_NOWAIT);
	if (page) {
		__free_page(page);
		WRITE_ONCE(*(int *)page_address(page), 0);
		page = alloc_page(GFP_NOWAIT);
	}
	local_irq_restore(flags);
	if (page)
		__free_page(page);
	return 0;
}

static void __exit proof_exit(void)
{
}

module_init(proof_init);
module_exit(proof_exit);

MODULE_DESCRIPTION("Writes to a page that is free");
MODULE_LICENSE("GPL");
