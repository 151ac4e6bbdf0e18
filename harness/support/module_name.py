# SPDX-License-Identifier: Apache-2.0
"""What a module can be called: the kernel's name for it, in its messages, in /proc/modules and in sysfs.

Kbuild makes it of a file's name (scripts/Makefile.lib, KBUILD_MODNAME) and turns "-" into "_"; what else a file's
name may have, it keeps.
"""

MODULE_NAME = r"[\w.+-]+"
