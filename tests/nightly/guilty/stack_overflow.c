// SPDX-License-Identifier: GPL-2.0-only
/* A module that recurses beyond the end of its stack, and then waits. */
#include <linux/module.h>
#include <linux/delay.h>
#include <linux/sched/task_stack.h>

/* The array gives each call a stack frame, so that the compiler cannot turn the recursion into a loop. */
static noinline int go_deeper(int deep)
{
	volatile char filler[32] = { deep };

	if ((unsigned long)filler <= (unsigned long)end_of_stack(current))
		return filler[deep % 32];
	return go_deeper(deep + 1) + filler[deep % 32];
}

static noinline void stack_overflow_run(void)
{
	go_deeper(1);
	msleep(10);
}

static int __init stack_overflow_init(void)
{
	stack_overflow_run();
	return 0;
}

static void __exit stack_overflow_exit(void)
{
}

module_init(stack_overflow_init);
module_exit(stack_overflow_exit);

MODULE_DESCRIPTION("A module that recurses beyond the end of its stack, and then waits.");
MODULE_LICENSE("GPL");
