// SPDX-License-Identifier: GPL-2.0-only
/* What the kernel says of its health, and whether it still works. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

#define SLABS "/sys/kernel/slab"
#define PROBE "/tmp/probe"
#define TIMER_MICROSECONDS 1000

static int cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) ? 0 : CPU_COUNT(&set);
}

static void print_word(const char *path)
{
	char word[64] = "-";
	FILE *stream = fopen(path, "r");

	if (stream && fscanf(stream, "%63s", word) != 1)
		strcpy(word, "-");
	if (stream)
		fclose(stream);
	printf(" %s", word);
}

int print_state(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("%d", cpus());
	print_word("/proc/sys/kernel/tainted");
	print_word("/sys/kernel/warn_count");
	print_word("/sys/kernel/oops_count");
	printf("\n");
	return 0;
}

/* A process that needs memory, a file and a timer, on one CPU. */
static int work_on(int cpu)
{
	static char content[65536];
	cpu_set_t set;
	int fd;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		return 1;
	fd = open(PROBE, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		return 1;
	memset(content, cpu, sizeof(content));
	if (write(fd, content, sizeof(content)) != sizeof(content))
		return 1;
	return close(fd) || usleep(TIMER_MICROSECONDS);
}

int check_alive(int argc, char **argv)
{
	int cpu, status;
	pid_t child;

	(void)argc;
	(void)argv;
	for (cpu = 0; cpu < 2; cpu++) {
		fflush(stdout);
		child = fork();
		if (!child)
			_exit(work_on(cpu));
		if (child > 0 && waitpid(child, &status, 0) == child && !status)
			printf("well\n");
	}
	unlink(PROBE);
	printf("%d\n", cpus());
	return 0;
}

int validate_slabs(int argc, char **argv)
{
	char file[512];
	struct dirent *entry;
	DIR *dir = opendir(SLABS);
	int fd, count = 0;

	(void)argc;
	(void)argv;
	while (dir && (entry = readdir(dir))) {
		/* Links are further names of merged caches. */
		if (entry->d_name[0] == '.' || entry->d_type == DT_LNK)
			continue;
		snprintf(file, sizeof(file), "%s/validate", entry->d_name);
		fd = openat(dirfd(dir), file, O_WRONLY);
		if (fd >= 0 && write(fd, "1\n", 2) == 2)
			count++;
		if (fd >= 0)
			close(fd);
	}
	printf("%d\n", count);
	return 0;
}
