// SPDX-License-Identifier: GPL-2.0-only
/*
 * latency: measure operations that user space can request of the kernel. Prints the total time in nanoseconds.
 * latency fork COUNT: a child that exits at once. latency switch COUNT: to another process and back, on one CPU.
 * latency module COUNT FILE NAME: load and remove a module. Counts CPU time, because the rest is mostly RCU waits.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void stay_here(void)
{
	cpu_set_t first;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	if (sched_setaffinity(0, sizeof(first), &first))
		die("sched_setaffinity");
}

static clockid_t watch = CLOCK_MONOTONIC;

static unsigned long long now(void)
{
	struct timespec time;

	clock_gettime(watch, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static void fork_once(void)
{
	pid_t child = fork();

	if (child < 0)
		die("fork");
	if (!child)
		_exit(0);
	waitpid(child, NULL, 0);
}

static int there[2], back[2];

static void pass_on(int from, int to)
{
	char byte = 0;

	if (read(from, &byte, 1) != 1 || write(to, &byte, 1) != 1)
		exit(1);
}

/* A child that sends back every byte that it receives */
static void start_partner(void)
{
	if (pipe(there) || pipe(back))
		die("pipe");
	if (fork())
		return;
	close(there[1]);
	for (;;)
		pass_on(there[0], back[1]);
}

static void switch_once(void)
{
	if (write(there[1], "", 1) != 1)
		die("write");
	if (read(back[0], &(char){ 0 }, 1) != 1)
		die("read");
}

static const char *module_file, *module_name;

static void module_once(void)
{
	int fd = open(module_file, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
		die(module_file);
	close(fd);
	if (syscall(SYS_delete_module, module_name, O_NONBLOCK))
		die(module_name);
}

int main(int argc, char **argv)
{
	void (*once)(void) = NULL;
	unsigned long long start;
	int count, i;

	if (argc < 3)
		return 2;
	count = atoi(argv[2]);
	stay_here();
	if (!strcmp(argv[1], "fork")) {
		once = fork_once;
	} else if (!strcmp(argv[1], "switch")) {
		start_partner();
		once = switch_once;
	} else if (!strcmp(argv[1], "module") && argc == 5) {
		module_file = argv[3];
		module_name = argv[4];
		watch = CLOCK_PROCESS_CPUTIME_ID;
		once = module_once;
	} else {
		return 2;
	}

	once(); /* warm up */
	start = now();
	for (i = 0; i < count; i++)
		once();
	printf("%llu\n", now() - start);
	return 0;
}
