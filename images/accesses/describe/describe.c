// SPDX-License-Identifier: GPL-2.0-only
/*
 * Let KASAN describe the memory of a bad access that the kernel itself did not
 * see: the object, and where it was allocated and freed. The module does not
 * stay loaded.
 */
#include <linux/module.h>
#include <linux/uaccess.h>

/* In print_memory_metadata() of mm/kasan/report.c, two rows are printed before and behind that of the address. */
#define ROW	128UL	/* bytes of memory */

static ulong report, shadow, address, size, instruction;
static bool store;

module_param(report, ulong, 0);		/* address of kasan_report(), which modules may not link to */
module_param(shadow, ulong, 0);		/* KASAN_SHADOW_OFFSET */
module_param(address, ulong, 0);
module_param(size, ulong, 0);
module_param(instruction, ulong, 0);
module_param(store, bool, 0);

static bool has_shadow(ulong place)
{
	u8 value;

	pagefault_disable();
	__get_kernel_nofault(&value, (u8 *)((place >> 3) + shadow), u8, missing);
	pagefault_enable();
	return true;
missing:
	pagefault_enable();
	return false;
}

/* KASAN reads the shadow around the address, which memory from vmalloc() no longer has once it is freed. */
static bool can_be_described(void)
{
	return has_shadow(round_down(address, ROW) - 2 * ROW) && has_shadow(address + size + 3 * ROW);
}

static int __init describe_init(void)
{
	bool (*describe)(ulong address, size_t size, bool is_write, ulong instruction) = (void *)report;

	if (describe && can_be_described())
		describe(address, size, store, instruction);
	return -EAGAIN;
}

static void __exit describe_exit(void)
{
}

module_init(describe_init);
module_exit(describe_exit);

MODULE_DESCRIPTION("Lets KASAN describe the memory of a bad access");
MODULE_LICENSE("GPL");
