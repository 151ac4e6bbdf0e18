// SPDX-License-Identifier: GPL-2.0-only
/* Load and unload modules, in one system call each. The words of errors are those of busybox. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/module.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent.h"

static const char *load_error(int error)
{
	switch (error) {
	case ENOEXEC:
		return "invalid module format";
	case ENOENT:
		return "unknown symbol in module, or unknown parameter";
	case ESRCH:
		return "module has wrong symbol version";
	}
	return strerror(error);
}

int insert_module(int argc, char **argv)
{
	char parameters[4096] = "";
	size_t used = 0;
	int fd, i, flags = 0;

	if (argc > 1 && !strcmp(argv[1], "-f")) {
		flags = MODULE_INIT_IGNORE_MODVERSIONS | MODULE_INIT_IGNORE_VERMAGIC;
		argc--;
		argv++;
	}
	if (argc < 2) {
		fprintf(stderr, "insmod: no file\n");
		return 1;
	}
	for (i = 2; i < argc; i++) {
		used += snprintf(parameters + used, sizeof(parameters) - used, "%s%s", i > 2 ? " " : "", argv[i]);
		if (used >= sizeof(parameters)) {
			fprintf(stderr, "insmod: more parameters than fit into a line\n");
			return 1;
		}
	}
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || syscall(SYS_finit_module, fd, parameters, flags)) {
		int error = errno;

		fprintf(stderr, "insmod: can't %s '%s': %s\n", fd < 0 ? "open" : "insert", argv[1],
			fd < 0 ? strerror(error) : load_error(error));
		return error;
	}
	return 0;
}

int remove_module(int argc, char **argv)
{
	int i, status = 0;
	char *at;

	for (i = 1; i < argc; i++) {
		for (at = argv[i]; *at; at++)
			if (*at == '-')
				*at = '_';
		if (syscall(SYS_delete_module, argv[i], O_NONBLOCK)) {
			fprintf(stderr, "rmmod: can't unload module '%s': %s\n", argv[i], strerror(errno));
			status = 1;
		}
	}
	return status;
}
