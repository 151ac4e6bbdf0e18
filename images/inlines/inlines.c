/* SPDX-License-Identifier: GPL-2.0-only */
/* The headers that modules include, and a use of each function that they define */
#include "probe.c"
#include "functions.h"
