// SPDX-License-Identifier: GPL-2.0-only
/*
 * Let KASAN describe the memory of a bad access that the kernel itself did not
 * see: the object, and where it was allocated and freed. The module does not
 * stay loaded.
 */
#include <linux/module.h>

static ulong report, address, size, instruction;
static bool store;

module_param(report, ulong, 0);		/* address of kasan_report(), which modules may not link to */
module_param(address, ulong, 0);
module_param(size, ulong, 0);
module_param(instruction, ulong, 0);
module_param(store, bool, 0);

static int __init describe_init(void)
{
	bool (*describe)(ulong address, size_t size, bool is_write, ulong instruction) = (void *)report;

	if (describe)
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
