// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does what is right, and tells lockdep why: takes two locks of one kind, of the
 * kernel's and of its own. A module that was built without lockdep does not tell
 * that to a kernel with it. With wrong=1, the module does not tell it anyhow.
 *
 * It also brings a file system, of which directories are renamed and removed:
 * lockdep's keys of its kinds of inodes are in its struct file_system_type.
 */
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/version.h>

#define MAGIC		0x616e6e6f
#define NR_NODES	8

static bool wrong;
module_param(wrong, bool, 0444);
MODULE_PARM_DESC(wrong, "do not tell lockdep that the locks of one kind nest");

/* The kernel's: i_rwsem of a directory, and of a file in it */
static int take_inodes(void)
{
	struct file *parent, *child;

	parent = filp_open("/proc", O_RDONLY | O_DIRECTORY, 0);
	if (IS_ERR(parent))
		return PTR_ERR(parent);
	child = filp_open("/proc/sys", O_RDONLY | O_DIRECTORY, 0);
	if (IS_ERR(child)) {
		fput(parent);
		return PTR_ERR(child);
	}
	inode_lock_nested(file_inode(parent), I_MUTEX_PARENT);
	inode_lock_nested(file_inode(child), wrong ? I_MUTEX_PARENT : I_MUTEX_CHILD);
	inode_unlock(file_inode(child));
	inode_unlock(file_inode(parent));
	fput(child);
	fput(parent);
	return 0;
}

/* Its own: nodes of a tree, from the root to the leaf, which lie in any order */
struct tree_node {
	struct mutex lock;
	char content[128];
};

static int take_nodes(bool backwards)
{
	struct tree_node *nodes[NR_NODES];
	int i, ret = 0;

	for (i = 0; i < NR_NODES; i++) {
		nodes[i] = kzalloc(sizeof(*nodes[i]), GFP_KERNEL);
		if (!nodes[i]) {
			ret = -ENOMEM;
			goto free;
		}
		mutex_init(&nodes[i]->lock);
	}
	for (i = 1; i < NR_NODES; i++) {
		struct tree_node *up = nodes[backwards ? i : i - 1];
		struct tree_node *down = nodes[backwards ? i - 1 : i];

		mutex_lock(&up->lock);
		mutex_lock_nested(&down->lock, wrong ? 0 : SINGLE_DEPTH_NESTING);
		mutex_unlock(&down->lock);
		mutex_unlock(&up->lock);
	}
free:
	while (i--)
		kfree(nodes[i]);
	return ret;
}

static struct inode *new_dir(struct super_block *sb)
{
	struct inode *inode = new_inode(sb);

	if (!inode)
		return NULL;
	inode->i_ino = get_next_ino();
	inode->i_mode = S_IFDIR | 0755;
	inode->i_fop = &simple_dir_operations;
	set_nlink(inode, 2);
	return inode;
}

static const struct inode_operations dir_operations;

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
static int make_dir(struct mnt_idmap *owner, struct inode *dir, struct dentry *dentry, umode_t mode)
#else
static int make_dir(struct user_namespace *owner, struct inode *dir, struct dentry *dentry,
		    umode_t mode)
#endif
{
	struct inode *inode = new_dir(dir->i_sb);

	if (!inode)
		return -ENOMEM;
	inode->i_op = &dir_operations;
	inc_nlink(dir);
	d_instantiate(dentry, inode);
	dget(dentry);
	return 0;
}

static const struct inode_operations dir_operations = {
	.lookup	= simple_lookup,
	.mkdir	= make_dir,
	.rmdir	= simple_rmdir,
	.rename	= simple_rename,
};

static const struct super_operations super_operations = {
	.statfs		= simple_statfs,
	.drop_inode	= generic_delete_inode,
};

static int fill_super(struct super_block *sb, struct fs_context *context)
{
	struct inode *inode;

	sb->s_magic = MAGIC;
	sb->s_op = &super_operations;
	sb->s_time_gran = 1;
	inode = new_dir(sb);
	if (inode)
		inode->i_op = &dir_operations;
	sb->s_root = d_make_root(inode);
	return sb->s_root ? 0 : -ENOMEM;
}

static int get_tree(struct fs_context *context)
{
	return get_tree_nodev(context, fill_super);
}

static const struct fs_context_operations context_operations = {
	.get_tree	= get_tree,
};

static int init_context(struct fs_context *context)
{
	context->ops = &context_operations;
	return 0;
}

static struct file_system_type annotated_type = {
	.owner			= THIS_MODULE,
	.name			= "annotated",
	.init_fs_context	= init_context,
	.kill_sb		= kill_litter_super,
};

static int __init annotated_init(void)
{
	int ret = take_inodes();

	if (!ret)
		ret = take_nodes(false);
	if (!ret)
		ret = take_nodes(true);
	return ret ? : register_filesystem(&annotated_type);
}

static void __exit annotated_exit(void)
{
	unregister_filesystem(&annotated_type);
}

module_init(annotated_init);
module_exit(annotated_exit);

MODULE_DESCRIPTION("Locks of one kind, taken in an order that lockdep is told");
MODULE_LICENSE("GPL");
