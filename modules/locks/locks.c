// SPDX-License-Identifier: GPL-2.0
/*
 * A vendor module for DEBUG_SPINLOCK: it is built against the production
 * kernel and never rebuilt. It touches what the option changes: the size of
 * every lock and of what embeds one, the inlined lock operations, and the
 * offsets in struct file.
 *
 * A check prints "check NAME ok" or "check NAME FAILED ..." to the kernel log.
 * The checks run from a module parameter, whose callback the kernel finds by
 * section: they run even in a kernel that never calls this module's init.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/semaphore.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#define ROUNDS		4
#define CANARY		0x5ca1ab1eu
#define CANARIES	16
#define CANARY_FILL	{ [0 ... CANARIES - 1] = CANARY }

static void answer(const char *name, bool held, unsigned long got, unsigned long want)
{
	if (held)
		pr_info("check %s ok\n", name);
	else
		pr_info("check %s FAILED got 0x%lx want 0x%lx\n", name, got, want);
}

static void fill(u32 *canary)
{
	int i;

	for (i = 0; i < CANARIES; i++)
		canary[i] = CANARY;
}

/* The number of canary words that somebody else has written to. */
static unsigned int dead(const u32 *canary)
{
	unsigned int i, count = 0;

	for (i = 0; i < CANARIES; i++)
		count += READ_ONCE(canary[i]) != CANARY;
	return count;
}

/* Locks: each variant several times, with canaries right behind the lock. */

struct guarded_spin {
	unsigned int count;
	spinlock_t lock;
	u32 canary[CANARIES];
};

struct guarded_rw {
	unsigned int count;
	rwlock_t lock;
	u32 canary[CANARIES];
};

static struct guarded_spin static_spin = {
	.lock = __SPIN_LOCK_UNLOCKED(static_spin.lock),
	.canary = CANARY_FILL,
};

static struct guarded_rw static_rw = {
	.lock = __RW_LOCK_UNLOCKED(static_rw.lock),
	.canary = CANARY_FILL,
};

/* One check: a lock variant taken ROUNDS times around a counter. */
#define LOCK_CHECK(prefix, variant, guard, lock_it, unlock_it)			\
do {										\
	int round;								\
										\
	(guard)->count = 0;							\
	for (round = 0; round < ROUNDS; round++) {				\
		lock_it;							\
		(guard)->count++;						\
		unlock_it;							\
	}									\
	check_lock(prefix, variant, (guard)->count, (guard)->canary);		\
} while (0)

static void check_lock(const char *prefix, const char *variant, unsigned int count, const u32 *canary)
{
	char name[48];
	unsigned int corrupt = dead(canary);

	snprintf(name, sizeof(name), "%s.%s", prefix, variant);
	if (corrupt)
		answer(name, false, corrupt, 0);
	else
		answer(name, count == ROUNDS, count, ROUNDS);
}

static void spin_variants(const char *prefix, struct guarded_spin *g)
{
	unsigned long flags;
	int free, busy;

	LOCK_CHECK(prefix, "plain", g, spin_lock(&g->lock), spin_unlock(&g->lock));
	LOCK_CHECK(prefix, "irq", g, spin_lock_irq(&g->lock), spin_unlock_irq(&g->lock));
	LOCK_CHECK(prefix, "irqsave", g, spin_lock_irqsave(&g->lock, flags),
		   spin_unlock_irqrestore(&g->lock, flags));
	LOCK_CHECK(prefix, "bh", g, spin_lock_bh(&g->lock), spin_unlock_bh(&g->lock));

	free = spin_trylock(&g->lock);
	busy = spin_trylock(&g->lock);
	if (free)
		spin_unlock(&g->lock);
	check_lock(prefix, "trylock", free == 1 && busy == 0 ? ROUNDS : 0, g->canary);
}

static void rw_variants(const char *prefix, struct guarded_rw *g)
{
	unsigned long flags;
	int free, busy;

	LOCK_CHECK(prefix, "read", g, read_lock(&g->lock), read_unlock(&g->lock));
	LOCK_CHECK(prefix, "write", g, write_lock(&g->lock), write_unlock(&g->lock));
	LOCK_CHECK(prefix, "read_irq", g, read_lock_irq(&g->lock), read_unlock_irq(&g->lock));
	LOCK_CHECK(prefix, "write_irq", g, write_lock_irq(&g->lock), write_unlock_irq(&g->lock));
	LOCK_CHECK(prefix, "read_irqsave", g, read_lock_irqsave(&g->lock, flags),
		   read_unlock_irqrestore(&g->lock, flags));
	LOCK_CHECK(prefix, "write_irqsave", g, write_lock_irqsave(&g->lock, flags),
		   write_unlock_irqrestore(&g->lock, flags));
	LOCK_CHECK(prefix, "read_bh", g, read_lock_bh(&g->lock), read_unlock_bh(&g->lock));
	LOCK_CHECK(prefix, "write_bh", g, write_lock_bh(&g->lock), write_unlock_bh(&g->lock));

	free = write_trylock(&g->lock);
	busy = read_trylock(&g->lock);
	if (free)
		write_unlock(&g->lock);
	check_lock(prefix, "trylock", free == 1 && busy == 0 ? ROUNDS : 0, g->canary);
}

static int run_locks(void)
{
	struct guarded_spin *spin = kmalloc(sizeof(*spin), GFP_KERNEL);
	struct guarded_rw *rw = kmalloc(sizeof(*rw), GFP_KERNEL);

	if (spin && rw) {
		fill(spin->canary);
		spin_lock_init(&spin->lock);
		fill(rw->canary);
		rwlock_init(&rw->lock);
		spin_variants("heap_spinlock", spin);
		spin_variants("static_spinlock", &static_spin);
		rw_variants("heap_rwlock", rw);
		rw_variants("static_rwlock", &static_rw);
	}
	kfree(rw);
	kfree(spin);
	return spin && rw ? 0 : -ENOMEM;
}

/* Structures that embed a lock: initialised by the kernel, canaries behind. */

struct with_mutex {
	struct mutex it;
	u32 canary[CANARIES];
};

struct with_wait_queue {
	wait_queue_head_t it;
	u32 canary[CANARIES];
};

struct with_completion {
	struct completion it;
	u32 canary[CANARIES];
};

struct with_semaphore {
	struct semaphore it;
	u32 canary[CANARIES];
};

struct with_rwsem {
	struct rw_semaphore it;
	u32 canary[CANARIES];
};

/* Allocate an object, initialise it, use it, and look at the canaries after each. */
#define EMBED_CHECK(type, name, init, use)					\
do {										\
	struct type *o = kmalloc(sizeof(*o), GFP_KERNEL);			\
	bool works;								\
										\
	if (!o)									\
		return -ENOMEM;							\
	fill(o->canary);							\
	init(&o->it);								\
	answer(name ".init", !dead(o->canary), dead(o->canary), 0);		\
	works = use(&o->it);							\
	answer(name ".use", works, works, true);				\
	answer(name ".canary", !dead(o->canary), dead(o->canary), 0);		\
	kfree(o);								\
} while (0)

static bool use_mutex(struct mutex *m)
{
	bool ok = true;
	int round;

	for (round = 0; round < ROUNDS; round++) {
		mutex_lock(m);
		ok &= mutex_is_locked(m) && !mutex_trylock(m);
		mutex_unlock(m);
		ok &= !mutex_is_locked(m);
	}
	return ok;
}

static bool use_wait_queue(wait_queue_head_t *q)
{
	DEFINE_WAIT(entry);
	bool ok = !waitqueue_active(q);

	prepare_to_wait(q, &entry, TASK_UNINTERRUPTIBLE);
	ok &= waitqueue_active(q);
	wake_up(q);
	finish_wait(q, &entry);
	return ok && !waitqueue_active(q) && wait_event_timeout(*q, true, HZ) > 0;
}

static bool use_completion(struct completion *c)
{
	bool ok = !try_wait_for_completion(c);
	int round;

	for (round = 0; round < ROUNDS; round++) {
		complete(c);
		ok &= completion_done(c);
		ok &= wait_for_completion_timeout(c, HZ) > 0;
		reinit_completion(c);
	}
	return ok;
}

static bool use_semaphore(struct semaphore *s)
{
	bool ok = true;
	int round;

	for (round = 0; round < ROUNDS; round++) {
		ok &= !down_timeout(s, HZ);
		ok &= down_trylock(s) == 1;
		up(s);
	}
	return ok;
}

static bool use_rwsem(struct rw_semaphore *s)
{
	bool ok = true;
	int round;

	for (round = 0; round < ROUNDS; round++) {
		down_read(s);
		ok &= !down_write_trylock(s);
		up_read(s);
		down_write(s);
		ok &= !down_read_trylock(s);
		up_write(s);
	}
	return ok;
}

static void init_semaphore(struct semaphore *s)
{
	sema_init(s, 1);
}

static int run_embedded(void)
{
	EMBED_CHECK(with_mutex, "mutex", mutex_init, use_mutex);
	EMBED_CHECK(with_wait_queue, "wait_queue", init_waitqueue_head, use_wait_queue);
	EMBED_CHECK(with_completion, "completion", init_completion, use_completion);
	EMBED_CHECK(with_semaphore, "semaphore", init_semaphore, use_semaphore);
	EMBED_CHECK(with_rwsem, "rwsem", init_rwsem, use_rwsem);
	return 0;
}

/* A timer, a work item and a kthread contend for one lock on both CPUs. */

#define TICKS	10
#define TURNS	2000

struct arena {
	spinlock_t lock;
	u32 canary[CANARIES];
	unsigned long count;
	unsigned int ticks;
	struct timer_list timer;
	struct work_struct work;
	struct completion timer_done, work_done, thread_done;
};

static void take_turns(struct arena *a, unsigned int turns)
{
	unsigned long flags;
	unsigned int i;

	for (i = 0; i < turns; i++) {
		spin_lock_irqsave(&a->lock, flags);
		a->count++;
		spin_unlock_irqrestore(&a->lock, flags);
	}
}

static void arena_timer(struct timer_list *t)
{
	struct arena *a = from_timer(a, t, timer);

	spin_lock(&a->lock);
	a->count++;
	spin_unlock(&a->lock);
	if (++a->ticks < TICKS)
		mod_timer(t, jiffies + 1);
	else
		complete(&a->timer_done);
}

static void arena_work(struct work_struct *w)
{
	struct arena *a = container_of(w, struct arena, work);

	take_turns(a, TURNS);
	complete(&a->work_done);
}

static int arena_thread(void *data)
{
	struct arena *a = data;

	take_turns(a, TURNS);
	complete(&a->thread_done);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

static int run_contention(void)
{
	const unsigned long want = TICKS + 2 * TURNS;
	struct arena *a = kzalloc(sizeof(*a), GFP_KERNEL);
	struct task_struct *thread;
	unsigned long left;

	if (!a)
		return -ENOMEM;
	fill(a->canary);
	spin_lock_init(&a->lock);
	init_completion(&a->timer_done);
	init_completion(&a->work_done);
	init_completion(&a->thread_done);
	timer_setup(&a->timer, arena_timer, 0);
	INIT_WORK(&a->work, arena_work);
	thread = kthread_create(arena_thread, a, KBUILD_MODNAME "/1");
	if (IS_ERR(thread)) {
		kfree(a);
		return PTR_ERR(thread);
	}
	kthread_bind(thread, num_online_cpus() - 1);
	mod_timer(&a->timer, jiffies + 1);
	schedule_work_on(0, &a->work);
	wake_up_process(thread);

	left = wait_for_completion_timeout(&a->timer_done, 5 * HZ);
	answer("contention.timer", left, left, 1);
	left = wait_for_completion_timeout(&a->work_done, 5 * HZ);
	answer("contention.work", left, left, 1);
	left = wait_for_completion_timeout(&a->thread_done, 5 * HZ);
	answer("contention.thread", left, left, 1);

	kthread_stop(thread);
	cancel_work_sync(&a->work);
	del_timer_sync(&a->timer);
	answer("contention.count", a->count == want, a->count, want);
	answer("contention.canary", !dead(a->canary), dead(a->canary), 0);
	kfree(a);
	return 0;
}

/* A misc device that lives by file->private_data and file->f_flags. */

#define TEXT_SIZE	64
#define IOCTL_FLAGS	0x6d01
#define IOCTL_OPENS	0x6d02

struct session {
	u32 magic;
	unsigned int nr;
	u32 canary[CANARIES];
};

static struct {
	struct mutex lock;
	unsigned int opens;
	size_t length;
	char text[TEXT_SIZE];
} shared = {
	.lock = __MUTEX_INITIALIZER(shared.lock),
	.text = "nothing",
	.length = 7,
};

static struct miscdevice device;

static int device_open(struct inode *inode, struct file *file)
{
	struct session *s;

	/* misc_open() has put the device there. */
	if (file->private_data != &device) {
		answer("device.open", false, (unsigned long)file->private_data, (unsigned long)&device);
		return -EIO;
	}
	s = kzalloc(sizeof(*s), GFP_KERNEL);
	if (!s)
		return -ENOMEM;
	s->magic = CANARY;
	fill(s->canary);
	mutex_lock(&shared.lock);
	s->nr = ++shared.opens;
	mutex_unlock(&shared.lock);
	file->private_data = s;
	return 0;
}

static int device_release(struct inode *inode, struct file *file)
{
	struct session *s = file->private_data;
	bool whole = s && s->magic == CANARY && !dead(s->canary);

	if (!whole)
		answer("device.release", false, s ? s->magic : 0, CANARY);
	kfree(s);
	return 0;
}

static ssize_t device_read(struct file *file, char __user *to, size_t count, loff_t *pos)
{
	struct session *s = file->private_data;
	ssize_t done;

	if (s->magic != CANARY)
		return -EIO;
	mutex_lock(&shared.lock);
	done = simple_read_from_buffer(to, count, pos, shared.text, shared.length);
	mutex_unlock(&shared.lock);
	return done;
}

static ssize_t device_write(struct file *file, const char __user *from, size_t count, loff_t *pos)
{
	struct session *s = file->private_data;
	ssize_t done;

	if (s->magic != CANARY)
		return -EIO;
	mutex_lock(&shared.lock);
	*pos = 0;
	done = simple_write_to_buffer(shared.text, TEXT_SIZE, pos, from, count);
	if (done > 0)
		shared.length = done;
	mutex_unlock(&shared.lock);
	return done;
}

static long device_ioctl(struct file *file, unsigned int request, unsigned long arg)
{
	struct session *s = file->private_data;

	if (s->magic != CANARY)
		return -EIO;
	switch (request) {
	case IOCTL_FLAGS:
		return file->f_flags & (O_NONBLOCK | O_APPEND | O_ACCMODE);
	case IOCTL_OPENS:
		return s->nr;
	default:
		return -ENOTTY;
	}
}

static const struct file_operations device_operations = {
	.owner = THIS_MODULE,
	.open = device_open,
	.release = device_release,
	.read = device_read,
	.write = device_write,
	.unlocked_ioctl = device_ioctl,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "modcompat_" KBUILD_MODNAME,
	.fops = &device_operations,
	.mode = 0600,
};

static int run_set(const char *value, const struct kernel_param *kp)
{
	if (sysfs_streq(value, "locks"))
		return run_locks();
	if (sysfs_streq(value, "embedded"))
		return run_embedded();
	if (sysfs_streq(value, "contention"))
		return run_contention();
	return -EINVAL;
}

static const struct kernel_param_ops run_ops = {
	.set = run_set,
};
module_param_cb(run, &run_ops, NULL, 0200);
MODULE_PARM_DESC(run, "Run a group of checks: locks, embedded, contention");

static int __init locks_init(void)
{
	int error = misc_register(&device);

	if (!error)
		pr_info("init\n");
	return error;
}

static void __exit locks_exit(void)
{
	misc_deregister(&device);
	pr_info("exit\n");
}

module_init(locks_init);
module_exit(locks_exit);

MODULE_DESCRIPTION("Vendor module that uses what DEBUG_SPINLOCK changes");
MODULE_LICENSE("GPL");
