/* SPDX-License-Identifier: GPL-2.0-only */
/* The headers that modules include, and a use of each function that they define */

/*
 * With KASAN, headers have memcpy() and the like call functions that check. A
 * module of production has what they are without KASAN.
 */
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
