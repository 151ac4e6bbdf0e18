/* SPDX-License-Identifier: GPL-2.0-only */
/* The headers that modules include, and a use of each function that they define */

/* With KASAN, code without instrumentation calls other functions than memcpy() and the like. A module does not. */
#include <linux/compiler.h>
#define __SANITIZE_ADDRESS__
#include <asm/string.h>
#undef __SANITIZE_ADDRESS__

#include "probe.c"
#include "functions.h"
