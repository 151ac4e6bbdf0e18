// SPDX-License-Identifier: GPL-2.0-only
/* Read files, and write into the kernel log. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"

int print_files(int argc, char **argv)
{
	char content[65536];
	ssize_t got;
	int i, fd, status = 0;

	for (i = 1; i < argc; i++) {
		fd = open(argv[i], O_RDONLY);
		if (fd < 0) {
			fflush(stdout);
			fprintf(stderr, "cat: can't open '%s': %s\n", argv[i], strerror(errno));
			status = 1;
			continue;
		}
		while ((got = read(fd, content, sizeof(content))) > 0)
			fwrite(content, 1, got, stdout);
		if (got < 0) {
			fflush(stdout);
			fprintf(stderr, "cat: read error: %s\n", strerror(errno));
			status = 1;
		}
		close(fd);
	}
	return status;
}

int print_words(int argc, char **argv)
{
	char line[65536];
	size_t used = 0, at;
	ssize_t done = 0;
	int i;

	for (i = 1; i < argc; i++)
		used += snprintf(line + used, sizeof(line) - used, "%s%s", i > 1 ? " " : "", argv[i]);
	line[used++] = '\n';
	for (at = 0; at < used && done >= 0; at += done)
		done = write(1, line + at, used - at);
	if (done < 0)
		fprintf(stderr, "sh: write error: %s\n", strerror(errno));
	return done < 0;
}

int log_line(int argc, char **argv)
{
	char line[512];
	size_t used = 0;
	int i, failed, fd = open("/dev/kmsg", O_WRONLY);

	/* Without the newline, the kernel would wait for the rest of the line. */
	for (i = 1; i < argc && used < sizeof(line); i++)
		used += snprintf(line + used, sizeof(line) - used, "%s%s", argv[i], i < argc - 1 ? " " : "\n");
	failed = fd < 0 || used >= sizeof(line) || write(fd, line, used) != (ssize_t)used;
	if (failed)
		perror("/dev/kmsg");
	close(fd);
	return failed;
}
