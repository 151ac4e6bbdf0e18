// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioctl PATH REQUEST [ARG] [nonblock] [append]
 * Open a file, issue one ioctl, and print its return value. The exit status is 1 if a call fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

int main(int argc, char **argv)
{
	int flags = O_RDWR, fd, result, i;
	unsigned long arg = 0;

	if (argc < 3) {
		fprintf(stderr, "usage: ioctl PATH REQUEST [ARG] [nonblock] [append]\n");
		return 2;
	}
	for (i = 3; i < argc; i++) {
		if (!strcmp(argv[i], "nonblock"))
			flags |= O_NONBLOCK;
		else if (!strcmp(argv[i], "append"))
			flags |= O_APPEND;
		else
			arg = strtoul(argv[i], NULL, 0);
	}
	fd = open(argv[1], flags);
	if (fd < 0) {
		printf("open: %s\n", strerror(errno));
		return 1;
	}
	result = ioctl(fd, strtoul(argv[2], NULL, 0), arg);
	if (result < 0) {
		printf("ioctl: %s\n", strerror(errno));
		return 1;
	}
	printf("%d\n", result);
	return 0;
}
