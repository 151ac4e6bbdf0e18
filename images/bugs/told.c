// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does what is right, and tells lockdep so by annotations that are empty in a
 * kernel without lockdep: a task that takes a semaphore for another one, or
 * twice for others, or takes it for writing and hands it over for reading;
 * locks of one kind for each CPU, and more locks than lockdep has room for
 * (MAX_LOCK_DEPTH) while one is held that all of them belong to, and after them
 * one that the kernel expects to be held, which outlasts them; two objects of
 * which now one and now the other is the parent; a lock that an interrupt
 * handler takes as well, with this interrupt disabled; interrupts that end in
 * another one; work that waits for other work of the same function; and work
 * whose function runs in softirqs and elsewhere.
 */
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/irqdesc.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/version.h>
#include <linux/workqueue.h>

#define NR_LOCKS	60

static DECLARE_RWSEM(handed_over);
static DEFINE_PER_CPU(spinlock_t, of_cpu) = __SPIN_LOCK_UNLOCKED(of_cpu);
static DEFINE_MUTEX(owner);

static void release(struct work_struct *work)
{
	up_read_non_owner(&handed_over);
}

static void take(struct work_struct *work)
{
	down_read_non_owner(&handed_over);
}

static DECLARE_WORK(releasing, release);
static DECLARE_WORK(taking, take);

static DECLARE_RWSEM(requests);

static void end_requests(struct work_struct *work)
{
	up_read_non_owner(&requests);
	up_read_non_owner(&requests);
}

static DECLARE_WORK(ending, end_requests);

static void begin_requests(void)
{
	down_read_non_owner(&requests);
	down_read_non_owner(&requests);
	mutex_lock(&owner);
	mutex_unlock(&owner);
	schedule_work(&ending);
	flush_work(&ending);
	mutex_lock(&owner);
	down_write(&requests);
	up_write(&requests);
	mutex_unlock(&owner);
}

static void take_those_of_all_cpus(void)
{
	unsigned int nested = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		spin_lock_nested(per_cpu_ptr(&of_cpu, cpu), nested++);
	for_each_possible_cpu(cpu)
		spin_unlock(per_cpu_ptr(&of_cpu, cpu));
}

/* Takes the kernel's lock for reading, or for writing and then downgrades it. */
static int take_those_of_one(bool downgrading)
{
	struct mutex *locks = kmalloc_array(NR_LOCKS, sizeof(*locks), GFP_KERNEL);
	unsigned int i;

	if (!locks)
		return -ENOMEM;
	for (i = 0; i < NR_LOCKS; i++)
		mutex_init(&locks[i]);
	mutex_lock(&owner);
	for (i = 0; i < NR_LOCKS; i++)
		mutex_lock_nest_lock(&locks[i], &owner);
	msleep(1);
	if (downgrading)
		mmap_write_lock(current->mm);
	else
		mmap_read_lock(current->mm);
	for (i = 0; i < NR_LOCKS; i++)
		mutex_unlock(&locks[i]);
	mutex_unlock(&owner);
	if (downgrading)
		mmap_write_downgrade(current->mm);
	find_vma(current->mm, 0);
	mmap_read_unlock(current->mm);
	kfree(locks);
	return 0;
}

struct node {
	struct mutex lock;
	struct mutex children;
	struct rw_semaphore busy;
};

static void take_child_of(struct node *parent, struct node *child)
{
	mutex_lock(&owner);
	mutex_lock(&parent->lock);
	mutex_lock(&parent->children);
	mutex_lock_nested(&child->lock, SINGLE_DEPTH_NESTING);
	mutex_lock_nested(&child->children, SINGLE_DEPTH_NESTING);
	mutex_unlock(&child->children);
	mutex_unlock(&child->lock);
	mutex_unlock(&parent->children);
	mutex_unlock(&parent->lock);
	mutex_unlock(&owner);
}

static struct rw_semaphore *of_worker;

static void release_of_worker(struct work_struct *work)
{
	up_read_non_owner(of_worker);
}

static DECLARE_WORK(releasing_of_worker, release_of_worker);

static int take_nodes(void)
{
	struct node *nodes[2] = { };
	int i, ret = -ENOMEM;

	for (i = 0; i < 2; i++) {
		nodes[i] = kmalloc(sizeof(*nodes[i]), GFP_KERNEL);
		if (!nodes[i])
			goto out;
		mutex_init(&nodes[i]->lock);
		mutex_init(&nodes[i]->children);
		init_rwsem(&nodes[i]->busy);
	}
	take_child_of(nodes[0], nodes[1]);
	take_child_of(nodes[1], nodes[0]);
	/* For two requests, one of which ends elsewhere */
	down_read_non_owner(&nodes[0]->busy);
	down_read_non_owner(&nodes[0]->busy);
	mutex_lock(&owner);
	mutex_unlock(&owner);
	up_read_non_owner(&nodes[0]->busy);
	of_worker = &nodes[0]->busy;
	schedule_work(&releasing_of_worker);
	flush_work(&releasing_of_worker);
	down_write(&nodes[0]->busy);
	downgrade_write(&nodes[0]->busy);
	rwsem_release(&nodes[0]->busy.dep_map, _THIS_IP_);
	schedule_work(&releasing_of_worker);
	flush_work(&releasing_of_worker);
	mutex_lock(&owner);
	down_write(&nodes[0]->busy);
	up_write(&nodes[0]->busy);
	mutex_unlock(&owner);
	ret = 0;
out:
	kfree(nodes[0]);
	kfree(nodes[1]);
	return ret;
}

static int last, first; /* numbers of interrupts: the first one ends in the last */
static struct lock_class_key first_lock, first_request;
static DEFINE_SPINLOCK(of_handler);
static struct hrtimer device;
static unsigned int handled;

static int set_wake(struct irq_data *data, unsigned int on)
{
	return irq_set_irq_wake(last, on);
}

static struct irq_chip first_chip = { .name = "first", .irq_set_wake = set_wake };
static struct irq_chip last_chip = { .name = "last", .flags = IRQCHIP_SKIP_SET_WAKE };

static irqreturn_t handle(int irq, void *data)
{
	spin_lock(&of_handler);
	handled++;
	spin_unlock(&of_handler);
	return IRQ_HANDLED;
}

static enum hrtimer_restart interrupt(struct hrtimer *timer)
{
	generic_handle_irq(first);
	return HRTIMER_NORESTART;
}

static int use_interrupts(void)
{
	int ret;

	first = irq_alloc_descs(-1, 1, 2, NUMA_NO_NODE);
	if (first < 0)
		return first;
	last = first + 1;
	irq_set_chip_and_handler(last, &last_chip, handle_simple_irq);
	irq_set_chip_and_handler(first, &first_chip, handle_simple_irq);
	irq_set_lockdep_class(first, &first_lock, &first_request);
	ret = request_irq(first, handle, 0, "told", NULL);
	if (ret)
		goto out;
	irq_set_irq_wake(first, 1);
	irq_set_irq_wake(first, 0);

	hrtimer_init(&device, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
	device.function = interrupt;
	hrtimer_start(&device, ms_to_ktime(1), HRTIMER_MODE_REL_HARD);
	msleep(100);
	if (handled != 1)
		ret = -EIO;
	disable_irq_nosync_lockdep(first);
	spin_lock(&of_handler);
	spin_unlock(&of_handler);
	enable_irq_lockdep(first);
	free_irq(first, NULL);
out:
	irq_free_descs(first, 2);
	return ret;
}

struct job {
	struct work_struct work;
	struct job *part;
};

static DEFINE_MUTEX(of_parts);

static void do_job(struct work_struct *work)
{
	struct job *part = container_of(work, struct job, work)->part;

	if (!part) {
		msleep(20);
		return;
	}
	schedule_work(&part->work);
	flush_work(&part->work);
	mutex_lock(&of_parts);
	schedule_work(&part->work);
	flush_work(&part->work);
	mutex_unlock(&of_parts);
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
static void do_either(struct work_struct *work)
{
}

/* One function in a softirq and in a task */
static void do_jobs_of_two_sorts(struct job *one, struct job *other)
{
	INIT_WORK(&one->work, do_either);
	INIT_WORK(&other->work, do_either);
	queue_work(system_bh_wq, &one->work);
	queue_work(system_wq, &other->work);
	flush_work(&one->work);
	flush_work(&other->work);
}
#else
static void do_jobs_of_two_sorts(struct job *one, struct job *other)
{
}
#endif

static int do_jobs(void)
{
	struct job *job = kzalloc(sizeof(*job), GFP_KERNEL);
	struct job *part = kzalloc(sizeof(*part), GFP_KERNEL);
	int ret = -ENOMEM;

	if (!job || !part)
		goto out;
	INIT_WORK(&part->work, do_job);
	INIT_WORK(&job->work, do_job);
	job->part = part;
	schedule_work(&job->work);
	flush_work(&job->work);
	do_jobs_of_two_sorts(job, part);
	ret = 0;
out:
	kfree(part);
	kfree(job);
	return ret;
}

static int __init told_init(void)
{
	int ret;

	take_those_of_all_cpus();
	begin_requests();
	ret = take_those_of_one(false) ?: take_those_of_one(true) ?:
	      take_nodes() ?: use_interrupts() ?: do_jobs();
	if (ret)
		return ret;
	/* A worker takes it and goes on, and so does who loads the module. */
	schedule_work(&taking);
	flush_work(&taking);
	down_read_non_owner(&handed_over);
	return 0;
}

static void __exit told_exit(void)
{
	schedule_work(&releasing);
	flush_work(&releasing);
	schedule_work(&releasing);
	flush_work(&releasing);
}

module_init(told_init);
module_exit(told_exit);

MODULE_DESCRIPTION("What lockdep is told by annotations");
MODULE_LICENSE("GPL");
