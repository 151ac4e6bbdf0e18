// SPDX-License-Identifier: GPL-2.0-only
/* Loads if a sound core with SND_CTL_DEBUG would not check a control that lacks the flag for it. */
#define CONFIG_SND_CTL_DEBUG 1
#include <linux/module.h>
#include <sound/control.h>

static int __init controls_init(void)
{
	struct snd_ctl_elem_info info = {};

	return snd_ctl_skip_validation(&info) ? 0 : -EINVAL;
}

static void __exit controls_exit(void)
{
}

module_init(controls_init);
module_exit(controls_exit);
MODULE_DESCRIPTION("Asks whether controls are checked");
MODULE_LICENSE("GPL");
