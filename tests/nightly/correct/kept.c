// SPDX-License-Identifier: GPL-2.0-only
/* Memory to which no pointer is left, and which is no leak: the module keeps what it needs to free it. */
#include <linux/kmemleak.h>
#include <linux/module.h>
#include <linux/slab.h>

#define NR_OBJECTS	8
#define SIZE		8192	/* nothing else in the guest has as much */

static unsigned long hidden[NR_OBJECTS];

static int __init kept_init(void)
{
	int i;

	for (i = 0; i < NR_OBJECTS; i++) {
		void *object = kmalloc(SIZE, GFP_KERNEL);

		kmemleak_not_leak(object);
		hidden[i] = ~(unsigned long)object;
	}
	return 0;
}

static void __exit kept_exit(void)
{
	int i;

	for (i = 0; i < NR_OBJECTS; i++)
		kfree((void *)~hidden[i]);
}

module_init(kept_init);
module_exit(kept_exit);
MODULE_DESCRIPTION("Keeps memory to which no pointer is left");
MODULE_LICENSE("GPL");
