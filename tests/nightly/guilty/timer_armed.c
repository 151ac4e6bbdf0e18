// SPDX-License-Identifier: GPL-2.0-only
/* A module whose exit leaves a timer armed. */
#include <linux/module.h>
#include <linux/timer.h>

static struct timer_list left_armed;

static void timer_came(struct timer_list *timer)
{
	mod_timer(timer, jiffies + HZ / 10);
}

static noinline void timer_armed_run(void)
{
	timer_setup(&left_armed, timer_came, 0);
	mod_timer(&left_armed, jiffies + HZ / 10);
}

static int __init timer_armed_init(void)
{
	timer_armed_run();
	return 0;
}

static void __exit timer_armed_exit(void)
{
}

module_init(timer_armed_init);
module_exit(timer_armed_exit);

MODULE_DESCRIPTION("A module whose exit leaves a timer armed.");
MODULE_LICENSE("GPL");
