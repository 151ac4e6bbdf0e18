/* SPDX-License-Identifier: GPL-2.0-only */
/* The headers that modules include, and a use of each function that they define */

/* With KASAN, memcpy() and the like are functions, so that they are checked. A module's are what they are without. */
#include <linux/compiler.h>
#define __SANITIZE_ADDRESS__
#ifdef CONFIG_KASAN_GENERIC
#define WITH_KASAN_GENERIC
#undef CONFIG_KASAN_GENERIC
#endif
#include <linux/string.h>
#undef __SANITIZE_ADDRESS__
#ifdef WITH_KASAN_GENERIC
#define CONFIG_KASAN_GENERIC 1
#endif

#include "probe.c"
#include "functions.h"
