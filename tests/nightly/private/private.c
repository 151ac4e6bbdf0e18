// SPDX-License-Identifier: GPL-2.0-only
/* Structures of private headers, by which a driver in the kernel and one in a module know each other. */
#include <linux/module.h>
#include "dw_mmc.h"
#include "nvme.h"

char size_of_dw_mci[sizeof(struct dw_mci)];
char size_of_nvme_ctrl[sizeof(struct nvme_ctrl)];

MODULE_DESCRIPTION("Has the sizes of structures");
MODULE_LICENSE("GPL");
