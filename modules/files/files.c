// SPDX-License-Identifier: GPL-2.0-only
/*
 * struct file, struct inode, struct dentry and struct seq_file: the kernel
 * fills them in, and a driver reads them at its own offsets. Uses a misc
 * device, a seq_file in /proc, and a file with a single record in debugfs.
 */
#include "vendor.h"

#include <linux/cdev.h>
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/major.h>
#include <linux/miscdevice.h>
#include <linux/mount.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#define NAME		"modcompat_" KBUILD_MODNAME
#define TEXT_SIZE	64
#define IOCTL_FLAGS	0x6d01
#define IOCTL_OPENS	0x6d02
#define IOCTL_MINOR	0x6d03

/* The device is a text; each open file has its own position in it. */

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

	/* misc_open() has stored the device there. */
	if (file->private_data != &device)
		return -EIO;
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

	if (!s || s->magic != CANARY || dead(s->canary))
		answer(s ? s->magic : 0, CANARY, "device.release");
	kfree(s);
	return 0;
}

/* The session must be that of device_open(), and the kernel's position must be ours. */
static bool is_sound(struct file *file, const loff_t *pos)
{
	struct session *s = file->private_data;

	return s->magic == CANARY && !dead(s->canary) && file->f_pos == *pos;
}

static ssize_t device_read(struct file *file, char __user *to, size_t count, loff_t *pos)
{
	ssize_t done;

	if (!is_sound(file, pos))
		return -EIO;
	mutex_lock(&shared.lock);
	done = simple_read_from_buffer(to, count, pos, shared.text, shared.length);
	mutex_unlock(&shared.lock);
	return done;
}

static ssize_t device_write(struct file *file, const char __user *from, size_t count, loff_t *pos)
{
	ssize_t done;

	if (!is_sound(file, pos))
		return -EIO;
	mutex_lock(&shared.lock);
	if (file->f_flags & O_APPEND)
		*pos = shared.length;
	done = simple_write_to_buffer(shared.text, TEXT_SIZE, pos, from, count);
	if (done > 0)
		shared.length = *pos;
	mutex_unlock(&shared.lock);
	return done;
}

static loff_t device_llseek(struct file *file, loff_t offset, int whence)
{
	loff_t pos = fixed_size_llseek(file, offset, whence, TEXT_SIZE);

	return pos >= 0 && file->f_pos != pos ? -EIO : pos;
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
	case IOCTL_MINOR:
		return iminor(file_inode(file));
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
	.llseek = device_llseek,
	.unlocked_ioctl = device_ioctl,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = NAME,
	.fops = &device_operations,
	.mode = 0600,
};

/* /proc: an iterator over records, with a cursor in the private data */

#define RECORDS		1000
#define PROC_SIZE	4711

struct cursor {
	unsigned int served;
	u32 canary[CANARIES];
};

static int anchor = 1;

static void *records_at(struct seq_file *m, loff_t *pos)
{
	return m->private && *pos < RECORDS ? pos : NULL;
}

static void *records_start(struct seq_file *m, loff_t *pos)
{
	return records_at(m, pos);
}

static void *records_next(struct seq_file *m, void *record, loff_t *pos)
{
	++*pos;
	return records_at(m, pos);
}

static void records_stop(struct seq_file *m, void *record)
{
}

static int records_show(struct seq_file *m, void *record)
{
	struct cursor *cursor = m->private;

	if (dead(cursor->canary))
		return -EIO;
	/* The kernel calls again if the record did not fit into its buffer. */
	seq_printf(m, "record %lld\n", *(loff_t *)record);
	if (!seq_has_overflowed(m))
		cursor->served++;
	if (cursor->served == RECORDS)
		seq_printf(m, "served %u\n", cursor->served);
	return 0;
}

static const struct seq_operations records = {
	.start = records_start,
	.next = records_next,
	.stop = records_stop,
	.show = records_show,
};

static int proc_open(struct inode *inode, struct file *file)
{
	struct cursor *cursor;

	if (pde_data(inode) != &anchor || i_size_read(inode) != PROC_SIZE)
		return -EIO;
	cursor = __seq_open_private(file, &records, sizeof(*cursor));
	if (!cursor)
		return -ENOMEM;
	fill(cursor->canary);
	return 0;
}

static const struct proc_ops proc_operations = {
	.proc_open = proc_open,
	.proc_read = seq_read,
	.proc_lseek = seq_lseek,
	.proc_release = seq_release_private,
};

/* debugfs: one record, which shows the contents of the seq_file */

static int record_show(struct seq_file *m, void *unused)
{
	seq_printf(m, "%s %s %s\n",
		   m->private == &anchor ? "private" : "-",
		   m->file && m->file->private_data == m ? "file" : "-",
		   m->op && m->op->show == record_show ? "op" : "-");
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(record);

/* The structures of the device, opened by the kernel */

static void check_file(struct file *file)
{
	struct session *s = file->private_data;

	answer_pointer(file->f_op, &device_operations, "file.op");
	answer_pointer(file->f_cred, current_cred(), "file.cred");
	answer_pointer(file->f_mapping, file->f_inode->i_mapping, "file.mapping");
	answer(file->f_flags & (O_NONBLOCK | O_ACCMODE), O_NONBLOCK | O_RDWR, "file.flags");
	answer(file->f_mode & (FMODE_READ | FMODE_WRITE | FMODE_EXEC),
	       (__force unsigned long)(FMODE_READ | FMODE_WRITE), "file.mode");
	answer(file_count(file), 1, "file.count");
	answer(vfs_llseek(file, 5, SEEK_SET) == 5 && file->f_pos == 5, true, "file.position");
	answer(s && s->magic == CANARY && !dead(s->canary), true, "file.private");
}

static void check_dentry(struct dentry *dentry, const struct file *file)
{
	answer(strcmp(dentry->d_name.name, NAME), 0, "dentry.name");
	answer(dentry->d_name.len, strlen(NAME), "dentry.length");
	answer_pointer(d_inode(dentry), file->f_inode, "dentry.inode");
	answer_pointer(dentry->d_sb, file->f_inode->i_sb, "dentry.super");
	answer_pointer(file->f_path.mnt->mnt_sb, dentry->d_sb, "dentry.mount");
	answer(d_count(dentry) > 0 && d_count(dentry) < 10, true, "dentry.count");
	answer(d_is_dir(dentry->d_parent), true, "dentry.parent");
	spin_lock(&dentry->d_lock);
	answer(spin_is_locked(&dentry->d_lock), true, "dentry.lock");
	spin_unlock(&dentry->d_lock);
}

static void check_inode(struct inode *inode)
{
	answer(inode->i_rdev, MKDEV(MISC_MAJOR, device.minor), "inode.rdev");
	answer(inode->i_mode, S_IFCHR | 0600, "inode.mode");
	answer(inode->i_nlink, 1, "inode.links");
	answer(i_size_read(inode), 0, "inode.size");
	answer(inode->i_cdev && MAJOR(inode->i_cdev->dev) == MISC_MAJOR, true, "inode.cdev");
	inode_lock(inode);
	answer(inode_is_locked(inode), true, "inode.locked");
	inode_unlock(inode);
	answer(inode_is_locked(inode), false, "inode.unlocked");
	ihold(inode);
	answer(atomic_read(&inode->i_count) > 1, true, "inode.count");
	iput(inode);
}

static int run_open(void)
{
	struct file *file = filp_open("/dev/" NAME, O_RDWR | O_NONBLOCK, 0);

	if (IS_ERR(file)) {
		answer(PTR_ERR(file), 0, "file.open");
		return PTR_ERR(file);
	}
	check_file(file);
	check_dentry(file_dentry(file), file);
	check_inode(file_inode(file));
	filp_close(file, NULL);
	return 0;
}

/*
 * The files are created by init, or later if init is never called. They are
 * removed before exit, which may not be called either.
 */
static bool absent = true;

static int set_up(void)
{
	struct proc_dir_entry *entry = proc_create_data(NAME, 0400, NULL, &proc_operations, &anchor);
	int error;

	if (!entry)
		return -ENOMEM;
	proc_set_size(entry, PROC_SIZE);
	error = misc_register(&device);
	if (error) {
		remove_proc_entry(NAME, NULL);
		return error;
	}
	debugfs_create_file(NAME, 0400, NULL, &anchor, &record_fops);
	absent = false;
	return 0;
}

static void tear_down(void)
{
	if (absent)
		return;
	debugfs_lookup_and_remove(NAME, NULL);
	misc_deregister(&device);
	remove_proc_entry(NAME, NULL);
	absent = true;
}

static int run_appear(void)
{
	answer(absent, false, "files.since_init");
	return absent ? set_up() : 0;
}

static int run_vanish(void)
{
	tear_down();
	return 0;
}

VENDOR_GROUPS(
	{ "appear", run_appear },
	{ "open", run_open },
	{ "vanish", run_vanish },
);

VENDOR_MODULE(set_up, tear_down);
MODULE_DESCRIPTION("Vendor module with a device, and files in /proc and debugfs");
