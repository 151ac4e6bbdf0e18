# SPDX-License-Identifier: Apache-2.0
"""Names of modules, as the kernel writes them in its messages, in /proc/modules and in sysfs.

Kbuild derives the name from the file's (KBUILD_MODNAME, scripts/Makefile.lib of Linux 6.1): it replaces "-" by "_" and
keeps every other character.
"""

MODULE_NAME = r"[\w.+-]+"


def kernel_name(name: str) -> str:
    """The kernel's name of a module, from the name of its file without the ending."""
    return name.replace("-", "_")
