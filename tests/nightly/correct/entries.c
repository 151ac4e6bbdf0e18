// SPDX-License-Identifier: GPL-2.0-only
/* Maps a page of its own into the process that loads it, entry by entry, as drivers of graphics do. */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/version.h>

static struct page *page;

static int set_entry(pte_t *entry, unsigned long address, void *vma)
{
	struct vm_area_struct *area = vma;

	set_pte_at(area->vm_mm, address, entry, pte_mkspecial(mk_pte(page, area->vm_page_prot)));
	return 0;
}

static int map_page(struct file *file, struct vm_area_struct *area)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
	area->vm_flags |= VM_PFNMAP | VM_DONTEXPAND;
#else
	vm_flags_set(area, VM_PFNMAP | VM_DONTEXPAND);
#endif
	return apply_to_page_range(area->vm_mm, area->vm_start, PAGE_SIZE, set_entry, area);
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.mmap = map_page,
};

static int __init entries_init(void)
{
	struct file *file;
	unsigned long address;

	page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!page)
		return -ENOMEM;
	file = anon_inode_getfile("entries", &operations, NULL, O_RDWR);
	if (IS_ERR(file)) {
		__free_page(page);
		return PTR_ERR(file);
	}
	address = vm_mmap(file, 0, PAGE_SIZE, PROT_READ, MAP_SHARED, 0);
	fput(file); /* the mapping has it until the process ends */
	if (IS_ERR_VALUE(address)) {
		__free_page(page);
		return address;
	}
	return 0;
}

static void __exit entries_exit(void)
{
	__free_page(page);
}

module_init(entries_init);
module_exit(entries_exit);
MODULE_DESCRIPTION("Maps a page of its own into the process that loads it");
MODULE_LICENSE("GPL");
