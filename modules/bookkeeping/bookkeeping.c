// SPDX-License-Identifier: GPL-2.0-only
/*
 * struct module, as the kernel and the module see it. The kernel writes to
 * the module's own struct module, at the kernel's offsets. If the kernel's
 * structure is larger than this module's, it overwrites the section after it,
 * .bss. So .bss contains only one object, the canary; every other static
 * variable has an initial value and is in .data.
 */
#include "vendor.h"

#include <linux/percpu.h>
#include <linux/smp.h>
#include <linux/version.h>

#define UNTOUCHED	0xa5
#define NOT_YET		-1
#define ROUNDS		1000
#define DEEP		1000
#define PER_CPU_START	100

static u8 bss_canary[4096];

static int dirty_at_init = NOT_YET;

static int number = -1;
module_param(number, int, 0644);
static bool flag = true;
module_param(flag, bool, 0644);
static char *text = "default";
module_param(text, charp, 0644);
static int numbers[4] = { -1, -1, -1, -1 };
static unsigned int numbers_given = 1;
module_param_array(numbers, int, &numbers_given, 0644);

static DEFINE_PER_CPU(unsigned int, hits) = PER_CPU_START;

/* Return the number of canary bytes that differ from a value. */
static unsigned int bytes_other_than(u8 value)
{
	unsigned int i, count = 0;

	for (i = 0; i < sizeof(bss_canary); i++)
		count += READ_ONCE(bss_canary[i]) != value;
	return count;
}

static int run_bss(void)
{
	answer(dirty_at_init, 0, "bss.at_init");
	answer(bytes_other_than(UNTOUCHED), 0, "bss.since_init");
	memset(bss_canary, UNTOUCHED, sizeof(bss_canary));
	answer(bytes_other_than(UNTOUCHED), 0, "bss.filled");
	return 0;
}

/* Run last: nothing has written to the canary in the meantime. */
static int run_bss_again(void)
{
	answer(bytes_other_than(UNTOUCHED), 0, "bss.at_end");
	return 0;
}

/* The size of the init section, which is 0 once it is freed */
static unsigned int init_size(const struct module *mod)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
	return mod->init_layout.size;
#else
	return mod->mem[MOD_INIT_TEXT].size + mod->mem[MOD_INIT_DATA].size + mod->mem[MOD_INIT_RODATA].size;
#endif
}

static int run_struct(void)
{
	struct module *mod = THIS_MODULE;

	answer(dirty_at_init != NOT_YET, true, "struct.init_ran");
	answer(strcmp(mod->name, KBUILD_MODNAME), 0, "struct.name");
	answer(mod->state, MODULE_STATE_LIVE, "struct.state");
	answer(within_module_core((unsigned long)run_struct, mod), true, "struct.core");
	answer(init_size(mod), 0, "struct.init_freed");
	/* Parsing has terminated the first name with a NUL. */
	answer(mod->args && !strcmp(mod->args, "number"), true, "struct.args");
	answer(strcmp(kobject_name(&mod->mkobj.kobj), KBUILD_MODNAME), 0, "struct.kobject");
	answer_pointer(mod->mkobj.mod, mod, "struct.kobject_module");
	answer(mod->num_kp, 5, "struct.parameters");
	answer(mod->percpu_size, sizeof(hits), "struct.percpu_size");
	return 0;
}

static int run_refcount(void)
{
	int pairs, i;

	answer(module_refcount(THIS_MODULE), 0, "refcount.idle");
	/* Stop at the first wrong count, because the kernel may warn at each. */
	for (pairs = 0; pairs < ROUNDS; pairs++) {
		if (!try_module_get(THIS_MODULE) || module_refcount(THIS_MODULE) != 1)
			break;
		module_put(THIS_MODULE);
	}
	answer(pairs, ROUNDS, "refcount.pairs");
	if (pairs < ROUNDS)
		return -EIO;
	for (i = 0; i < DEEP; i++)
		__module_get(THIS_MODULE);
	answer(module_refcount(THIS_MODULE), DEEP, "refcount.held");
	for (i = 0; i < DEEP; i++)
		module_put(THIS_MODULE);
	answer(module_refcount(THIS_MODULE), 0, "refcount.back");
	return 0;
}

static int run_loaded(void)
{
	answer(number, 42, "loaded.number");
	answer(flag, false, "loaded.flag");
	answer(strcmp(text, "words"), 0, "loaded.text");
	answer(numbers_given, 3, "loaded.array_size");
	answer(numbers[0] == 1 && numbers[1] == 2 && numbers[2] == 3, true, "loaded.array");
	answer(numbers[3], -1, "loaded.array_rest");
	return 0;
}

static int run_written(void)
{
	answer(number, -7, "written.number");
	answer(flag, true, "written.flag");
	answer(strcmp(text, "others\n"), 0, "written.text");
	answer(numbers_given, 4, "written.array_size");
	answer(numbers[0] == 9 && numbers[3] == 6, true, "written.array");
	return 0;
}

static void hit(void *unused)
{
	this_cpu_inc(hits);
}

static int run_percpu(void)
{
	unsigned int cpu, sum = 0, apart = 0;

	for_each_possible_cpu(cpu)
		sum += per_cpu(hits, cpu);
	answer(sum, PER_CPU_START * num_possible_cpus(), "percpu.start");

	on_each_cpu(hit, NULL, true);
	for_each_online_cpu(cpu)
		apart += per_cpu(hits, cpu) == PER_CPU_START + 1;
	answer(apart, num_online_cpus(), "percpu.each");
	return 0;
}

VENDOR_GROUPS(
	{ "bss", run_bss },
	{ "struct", run_struct },
	{ "refcount", run_refcount },
	{ "loaded", run_loaded },
	{ "written", run_written },
	{ "percpu", run_percpu },
	{ "bss_again", run_bss_again },
);

static int __init set_up(void)
{
	dirty_at_init = bytes_other_than(0);
	memset(bss_canary, UNTOUCHED, sizeof(bss_canary));
	return 0;
}

VENDOR_MODULE(set_up, no_tear_down);
MODULE_DESCRIPTION("Vendor module that watches struct module");
