// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mistakes of a module that the kernel reports in words of its own.
 *
 * Writing the name of a mistake to the parameter "make" makes it. The names
 * of those that belong to init are values of the parameter "init".
 */
#include <linux/fs.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/irqdesc.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#ifdef CONFIG_X86
#include <asm/fpu/api.h>
#endif

static char *init = "";
module_param(init, charp, 0400);

static int zero;
static DECLARE_COMPLETION(done);

/* Arithmetic and instructions */

static noinline int divide(void)
{
	return 1000 / READ_ONCE(zero);
}

static noinline int undefined(void)
{
#if defined(CONFIG_X86)
	asm volatile("ud2; .byte 0x66, 0x90");
#elif defined(CONFIG_ARM64)
	asm volatile(".inst 0x00000000");
#else
	asm volatile(".inst 0xe7f000f0");
#endif
	return 0;
}

#ifdef CONFIG_X86
static noinline int noncanonical(void)
{
	return READ_ONCE(*(int *)0x5a5a5a5a5a5a5a5aUL);
}

/* An access that is not aligned, by an instruction that requires it */
static noinline int unaligned(void)
{
	static char bytes[64] __aligned(16);

	kernel_fpu_begin();
	asm volatile("movaps 1(%0), %%xmm0" : : "r" (bytes));
	kernel_fpu_end();
	return 0;
}

static noinline int segment(void)
{
	asm volatile("mov %0, %%fs" : : "r" (0x1234));
	return 0;
}

static noinline int stack_segment(void)
{
	asm volatile("xchg %0, %%rbp; mov (%%rbp), %%rax; xchg %0, %%rbp"
		     : : "r" (0x5a5a5a5a5a5a5a5aUL) : "rax");
	return 0;
}

static noinline int floating_point(void)
{
	unsigned short control = 0x037f & ~0x04;	/* division by zero is not masked */

	kernel_fpu_begin();
	asm volatile("fninit; fldcw %0; fldz; fld1; fdivp; fwait" : : "m" (control));
	kernel_fpu_end();
	return 0;
}

static noinline int breakpoint(void)
{
	asm volatile("int3");
	return 0;
}
#endif

/* Contexts that are left in another state than they were entered in */

static void leak_in_work(struct work_struct *work)
{
	local_bh_disable();
	complete(&done);
}
static DECLARE_WORK(leaky_work, leak_in_work);

static noinline int work(void)
{
	schedule_work(&leaky_work);
	wait_for_completion(&done);
	flush_work(&leaky_work);
	return 0;
}

static void leak_in_timer(struct timer_list *timer)
{
	local_bh_disable();
	complete(&done);
}
static DEFINE_TIMER(leaky_timer, leak_in_timer);

static noinline int timer(void)
{
	mod_timer(&leaky_timer, jiffies + 1);
	wait_for_completion(&done);
	return 0;
}

static void leak_in_tasklet(struct tasklet_struct *tasklet)
{
	local_bh_disable();
	complete(&done);
}
static DECLARE_TASKLET(leaky_tasklet, leak_in_tasklet);

static noinline int softirq(void)
{
	tasklet_schedule(&leaky_tasklet);
	wait_for_completion(&done);
	return 0;
}

static noinline int sleep_in_softirq(void)
{
	local_bh_disable();
	schedule_timeout_uninterruptible(2);
	local_bh_enable();
	return 0;
}

/* Objects of the kernel that are used wrongly */

static noinline int close(void)
{
	static struct file file;
	int error = filp_close(&file, NULL);

	return error ? error : READ_ONCE(zero);	/* not a tail call, which leaves no frame */
}

static noinline int put_kobject(void)
{
	static struct kobject never;

	kobject_put(&never);
	return 0;
}

static noinline int same_kobject(void)
{
	struct kobject *first = kobject_create_and_add("provoked", kernel_kobj);
	struct kobject *second = kobject_create_and_add("provoked", kernel_kobj);

	kobject_put(second);
	kobject_put(first);
	return 0;
}

static noinline int same_proc(void)
{
	proc_mkdir("provoked", NULL);
	proc_mkdir("provoked", NULL);
	return 0;
}

static noinline int no_proc(void)
{
	remove_proc_entry("never_there", NULL);
	return 0;
}

static noinline int free_irq_of_nobody(void)
{
	int irq = irq_alloc_desc(0);

	if (irq < 0)
		return irq;
	free_irq(irq, &zero);
	irq_free_desc(irq);
	return 0;
}

static irqreturn_t not_mine(int irq, void *data)
{
	return IRQ_NONE;
}

static noinline int nobody(void)
{
	int irq = irq_alloc_desc(0), i, error;

	if (irq < 0)
		return irq;
	irq_set_chip_and_handler(irq, &dummy_irq_chip, handle_simple_irq);
	irq_modify_status(irq, IRQ_NOREQUEST, 0);
	error = request_irq(irq, not_mine, 0, "provoked", &zero);
	if (error)
		return error;
	local_irq_disable();
	for (i = 0; i < 100001; i++)
		generic_handle_irq(irq);
	local_irq_enable();
	free_irq(irq, &zero);
	irq_free_desc(irq);
	return 0;
}

static noinline int free_middle(void)
{
	vfree(vmalloc(PAGE_SIZE) + 8);
	return 0;
}

static noinline int full_cache(void)
{
	struct kmem_cache *cache = kmem_cache_create("provoked", 64, 0, SLAB_POISON, NULL);

	if (!cache || !kmem_cache_alloc(cache, GFP_KERNEL))
		return -ENOMEM;
	kmem_cache_destroy(cache);
	return 0;
}

static noinline int put_module(void)
{
	int i;

	for (i = 0; i < 8; i++)
		module_put(THIS_MODULE);
	return 0;
}

static noinline int own_trace(void)
{
	pr_err("provoked: the device is in an impossible state\n");
	dump_stack();
	return 0;
}

static const struct mistake {
	const char *name;
	int (*make)(void);
} mistakes[] = {
	{ "divide", divide },
	{ "undefined", undefined },
#ifdef CONFIG_X86
	{ "noncanonical", noncanonical },
	{ "unaligned", unaligned },
	{ "segment", segment },
	{ "stack_segment", stack_segment },
	{ "floating_point", floating_point },
	{ "breakpoint", breakpoint },
#endif
	{ "work", work },
	{ "timer", timer },
	{ "softirq", softirq },
	{ "sleep_in_softirq", sleep_in_softirq },
	{ "close", close },
	{ "put_kobject", put_kobject },
	{ "same_kobject", same_kobject },
	{ "same_proc", same_proc },
	{ "no_proc", no_proc },
	{ "free_irq_of_nobody", free_irq_of_nobody },
	{ "nobody", nobody },
	{ "free_middle", free_middle },
	{ "full_cache", full_cache },
	{ "put_module", put_module },
	{ "own_trace", own_trace },
};

static int make_set(const char *value, const struct kernel_param *kp)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(mistakes); i++)
		if (sysfs_streq(value, mistakes[i].name))
			return mistakes[i].make();
	return -EINVAL;
}

static const struct kernel_param_ops make_ops = { .set = make_set };
module_param_cb(make, &make_ops, NULL, 0200);

static int warn_of_others(struct notifier_block *self, unsigned long state, void *data)
{
	WARN(state == MODULE_STATE_COMING, "another module is coming\n");
	return NOTIFY_OK;
}

static struct notifier_block notifier = { .notifier_call = warn_of_others };

static int __init provoked_init(void)
{
	if (!strcmp(init, "notifier"))
		return register_module_notifier(&notifier);
	if (!strcmp(init, "irqs_off"))
		local_irq_disable();
	if (!strcmp(init, "positive"))
		return 1;
	return 0;
}
module_init(provoked_init);

static void __exit provoked_exit(void)
{
	if (!strcmp(init, "notifier"))
		unregister_module_notifier(&notifier);
}
module_exit(provoked_exit);

MODULE_DESCRIPTION("Mistakes that the kernel reports in words of its own");
MODULE_LICENSE("GPL");
