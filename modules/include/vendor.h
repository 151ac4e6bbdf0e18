/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Common parts of the vendor modules. Include this first, as it sets pr_fmt.
 *
 * A vendor module is built against the production kernel and never rebuilt.
 * It checks itself in groups; writing the name of a group to the parameter
 * "run" runs it. The kernel finds the callback of a parameter by section, so
 * the checks run even in a kernel that never calls the module's init.
 */
#ifndef VENDOR_H
#define VENDOR_H

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>

/* Check that a value is as expected, and log the result. */
static inline __printf(3, 4)
void answer(unsigned long got, unsigned long want, const char *name, ...)
{
	struct va_format text = { .fmt = name };
	va_list args;

	va_start(args, name);
	text.va = &args;
	if (got == want)
		pr_info("check %pV ok\n", &text);
	else
		pr_info("check %pV FAILED got 0x%lx want 0x%lx\n", &text, got, want);
	va_end(args);
}

/* The same for pointers */
#define answer_pointer(got, want, ...)	\
	answer((unsigned long)(got), (unsigned long)(want), __VA_ARGS__)

/*
 * Canaries: words directly after an object that its users must not write to.
 * There are enough of them to catch all writes to a larger version of the
 * object, so that the damage is detected and does not spread.
 */
#define CANARY		0x5ca1ab1eu
#define CANARIES	32
#define CANARY_FILL	{ [0 ... CANARIES - 1] = CANARY }

#define GUARDED(type)	struct { type it; u32 canary[CANARIES]; }

static inline void fill(u32 *canary)
{
	memset32(canary, CANARY, CANARIES);
}

/* Return the number of canary words that were overwritten. */
static inline unsigned int dead(const u32 *canary)
{
	unsigned int i, count = 0;

	for (i = 0; i < CANARIES; i++)
		count += READ_ONCE(canary[i]) != CANARY;
	return count;
}

/* The groups of a module: { "name", function }, ... */
struct vendor_group {
	const char *name;
	int (*run)(void);
};

/* noinline: vendor_run() must remain a function, because probes are put on it. */
#define VENDOR_GROUPS(...)							\
static const struct vendor_group vendor_groups[] = { __VA_ARGS__ };		\
										\
static noinline __used int vendor_run(const char *group)			\
{										\
	size_t i;								\
										\
	for (i = 0; i < ARRAY_SIZE(vendor_groups); i++)				\
		if (sysfs_streq(group, vendor_groups[i].name))			\
			return vendor_groups[i].run();				\
	return -EINVAL;								\
}										\
										\
static int vendor_run_set(const char *value, const struct kernel_param *kp)	\
{										\
	return vendor_run(value);						\
}										\
										\
static const struct kernel_param_ops vendor_run_ops = {				\
	.set = vendor_run_set,							\
};										\
module_param_cb(run, &vendor_run_ops, NULL, 0200);				\
MODULE_PARM_DESC(run, "Run a group of checks")

/* A parameter that shows the return value of the function of the same name */
#define VENDOR_SHOWS(name)	module_param_cb(name, &vendor_show_ops, name, 0400)

static inline int vendor_show(char *buffer, const struct kernel_param *parameter)
{
	unsigned long (*function)(void) = parameter->arg;

	return sysfs_emit(buffer, "%lu\n", function());
}

static const struct kernel_param_ops vendor_show_ops __maybe_unused = {
	.get = vendor_show,
};

/* The module's init and exit, which log a line and call the given functions */
#define VENDOR_MODULE(set_up, tear_down)					\
static int __init vendor_init(void)						\
{										\
	int error = set_up();							\
										\
	if (!error)								\
		pr_info("init\n");						\
	return error;								\
}										\
module_init(vendor_init);							\
										\
static void __exit vendor_exit(void)						\
{										\
	tear_down();								\
	pr_info("exit\n");							\
}										\
module_exit(vendor_exit);							\
										\
MODULE_LICENSE("GPL")

/* For modules with nothing to set up or tear down */
static inline int no_set_up(void)
{
	return 0;
}

static inline void no_tear_down(void)
{
}

#endif
