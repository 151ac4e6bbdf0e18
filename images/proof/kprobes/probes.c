// SPDX-License-Identifier: GPL-2.0-only
/*
 * Use of KPROBES: this module is built for the debug kernel. It probes calls of
 * one function and returns from another, in the kernel from the start, and in a
 * module once the module's name is written to the parameter `vendor`. There it
 * probes the exit function, which runs in every module that has one, and
 * vendor_run(), which the exercises of our own modules call. Only the exit
 * function has to be hit: a user's module may have a vendor_run() that nobody
 * calls. The other parameters are the numbers of hits.
 */
#include <linux/kprobes.h>
#include <linux/module.h>

struct hits {
	atomic_t calls, returns;
};

struct pair {
	struct kprobe call;
	struct kretprobe back;
	struct hits *hits;
	bool armed;
};

static int on_call(struct kprobe *probe, struct pt_regs *regs)
{
	atomic_inc(&container_of(probe, struct pair, call)->hits->calls);
	return 0;
}

static int on_return(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct kretprobe *probe = get_kretprobe(instance);

	if (probe)
		atomic_inc(&container_of(probe, struct pair, back)->hits->returns);
	return 0;
}

#define PAIR(called, returning, counters) {		\
	.call.symbol_name = called,			\
	.call.pre_handler = on_call,			\
	.back.kp.symbol_name = returning,		\
	.back.handler = on_return,			\
	.hits = counters,				\
}

#define NAME_BYTES (MODULE_NAME_LEN + sizeof(":cleanup_module"))

static char leave[NAME_BYTES], run[NAME_BYTES];
static struct hits kernel_hits, vendor_hits;
static struct pair kernel = PAIR("vfs_read", "vfs_write", &kernel_hits);
static struct pair at_exit = PAIR(leave, leave, &vendor_hits), at_run = PAIR(run, run, &vendor_hits);

static int register_pair(struct pair *pair)
{
	int error = register_kprobe(&pair->call);

	if (error)
		return error;
	error = register_kretprobe(&pair->back);
	if (error)
		unregister_kprobe(&pair->call);
	pair->armed = !error;
	return error;
}

static void unregister_pair(struct pair *pair)
{
	if (!pair->armed)
		return;
	unregister_kretprobe(&pair->back);
	unregister_kprobe(&pair->call);
}

/* Probe the module with this name. It is not an error if the module has neither function. */
static int set_vendor(const char *value, const struct kernel_param *parameter)
{
	int error;

	if (*leave)
		return -EBUSY;
	snprintf(leave, sizeof(leave), "%s:cleanup_module", value);
	snprintf(run, sizeof(run), "%s:vendor_run", value);
	error = register_pair(&at_exit);
	if (error && error != -ENOENT)
		return error;
	error = register_pair(&at_run);
	return error == -ENOENT ? 0 : error;
}

/* The function that has to be hit, nothing if the module has none */
static int get_vendor(char *buffer, const struct kernel_param *parameter)
{
	return scnprintf(buffer, PAGE_SIZE, "%s\n", at_exit.armed ? leave : "");
}

static const struct kernel_param_ops vendor_ops = { .set = set_vendor, .get = get_vendor };

module_param_cb(vendor, &vendor_ops, NULL, 0600);
module_param_named(kernel_calls, kernel_hits.calls.counter, int, 0400);
module_param_named(kernel_returns, kernel_hits.returns.counter, int, 0400);
module_param_named(vendor_calls, vendor_hits.calls.counter, int, 0400);
module_param_named(vendor_returns, vendor_hits.returns.counter, int, 0400);

static int __init probes_init(void)
{
	return register_pair(&kernel);
}

static void __exit probes_exit(void)
{
	/* If the vendor module was unloaded, the kernel has disarmed these. */
	unregister_pair(&at_run);
	unregister_pair(&at_exit);
	unregister_pair(&kernel);
}

module_init(probes_init);
module_exit(probes_exit);

MODULE_DESCRIPTION("Probes functions of the kernel and of a vendor module");
MODULE_LICENSE("GPL");
