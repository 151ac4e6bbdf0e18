// SPDX-License-Identifier: GPL-2.0-only
/*
 * Use of KPROBES: this module is built for the debug kernel. It probes calls of
 * one function and returns from another, in the kernel from the start, and in a
 * module once the module's name is written to the parameter `vendor`. There it
 * probes vendor_run(), which each of our vendor modules has, or else the exit
 * function, which every module has. The other parameters are the numbers of
 * hits.
 */
#include <linux/kprobes.h>
#include <linux/module.h>

struct pair {
	struct kprobe call;
	struct kretprobe back;
	atomic_t calls, returns;
};

static int on_call(struct kprobe *probe, struct pt_regs *regs)
{
	atomic_inc(&container_of(probe, struct pair, call)->calls);
	return 0;
}

static int on_return(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct kretprobe *probe = get_kretprobe(instance);

	if (probe)
		atomic_inc(&container_of(probe, struct pair, back)->returns);
	return 0;
}

#define PAIR(called, returning) {			\
	.call.symbol_name = called,			\
	.call.pre_handler = on_call,			\
	.back.kp.symbol_name = returning,		\
	.back.handler = on_return,			\
}

static const char *const probed[] = { "vendor_run", "cleanup_module" };
static char function[MODULE_NAME_LEN + sizeof(":cleanup_module")]; /* "" if no module is probed */
static struct pair kernel = PAIR("vfs_read", "vfs_write"), vendor = PAIR(function, function);

static int register_pair(struct pair *pair)
{
	int error = register_kprobe(&pair->call);

	if (error)
		return error;
	error = register_kretprobe(&pair->back);
	if (error)
		unregister_kprobe(&pair->call);
	return error;
}

static void unregister_pair(struct pair *pair)
{
	unregister_kretprobe(&pair->back);
	unregister_kprobe(&pair->call);
}

/* Probe the module with this name. It is not an error if the module has neither function. */
static int set_vendor(const char *value, const struct kernel_param *parameter)
{
	int error = -ENOENT, i;

	if (*function)
		return -EBUSY;
	for (i = 0; i < ARRAY_SIZE(probed) && error == -ENOENT; i++) {
		snprintf(function, sizeof(function), "%s:%s", value, probed[i]);
		error = register_pair(&vendor);
	}
	if (error)
		*function = '\0';
	return error == -ENOENT ? 0 : error;
}

static int get_vendor(char *buffer, const struct kernel_param *parameter)
{
	return scnprintf(buffer, PAGE_SIZE, "%s\n", function);
}

static const struct kernel_param_ops vendor_ops = { .set = set_vendor, .get = get_vendor };

module_param_cb(vendor, &vendor_ops, NULL, 0600);
module_param_named(kernel_calls, kernel.calls.counter, int, 0400);
module_param_named(kernel_returns, kernel.returns.counter, int, 0400);
module_param_named(vendor_calls, vendor.calls.counter, int, 0400);
module_param_named(vendor_returns, vendor.returns.counter, int, 0400);

static int __init probes_init(void)
{
	return register_pair(&kernel);
}

static void __exit probes_exit(void)
{
	/* If the vendor module was unloaded, the kernel has disarmed these. */
	if (*function)
		unregister_pair(&vendor);
	unregister_pair(&kernel);
}

module_init(probes_init);
module_exit(probes_exit);

MODULE_DESCRIPTION("Probes functions of the kernel and of a vendor module");
MODULE_LICENSE("GPL");
