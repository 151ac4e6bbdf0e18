// SPDX-License-Identifier: GPL-2.0-only
/*
 * perfuse: use perf events on every CPU until SIGTERM.
 * Samples the CPUs with a software clock, with call chains and ring buffers, and counts software events.
 * Prints "ready" when all events run, and at the end a line for each: live NAME ok NUMBER WHAT, or live NAME FAILED ...
 * perfuse FROM TO: also counts the samples with a frame between these addresses.
 */
#define _GNU_SOURCE
#include <linux/perf_event.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST_CPUS	64
#define RING		(64 << 10)	/* bytes for samples; a power of two pages */
#define COUNTERS	3

static const struct {
	const char *name, *what;
	unsigned long event;
} counters[COUNTERS] = {
	{ "perf-switches", "context switches", PERF_COUNT_SW_CONTEXT_SWITCHES },
	{ "perf-faults", "page faults", PERF_COUNT_SW_PAGE_FAULTS },
	{ "perf-clock", "ns of task clock", PERF_COUNT_SW_TASK_CLOCK },
};

static struct perf_event_mmap_page *rings[MOST_CPUS];
static struct pollfd sampled[MOST_CPUS];
static int counted[MOST_CPUS][COUNTERS];
static unsigned long long samples, frames, within;
static unsigned long from, to;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int open_event(struct perf_event_attr *attr, unsigned long event, int cpu)
{
	int fd;

	attr->type = PERF_TYPE_SOFTWARE;
	attr->size = sizeof(*attr);
	attr->config = event;
	fd = syscall(SYS_perf_event_open, attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		die("perf_event_open");
	return fd;
}

static void open_cpu(int cpu)
{
	struct perf_event_attr sampling = {
		.sample_period = 4000000, /* ns */
		.sample_type = PERF_SAMPLE_CALLCHAIN,
		.watermark = 1,
		.wakeup_watermark = RING / 2,
	};
	struct perf_event_attr counting = {};
	unsigned int i;

	sampled[cpu].fd = open_event(&sampling, PERF_COUNT_SW_CPU_CLOCK, cpu);
	sampled[cpu].events = POLLIN;
	rings[cpu] = mmap(NULL, getpagesize() + RING, PROT_READ | PROT_WRITE, MAP_SHARED, sampled[cpu].fd, 0);
	if (rings[cpu] == MAP_FAILED)
		die("mmap");
	for (i = 0; i < COUNTERS; i++)
		counted[cpu][i] = open_event(&counting, counters[i].event, cpu);
}

static int is_within(const char *data, __u64 at, __u64 count)
{
	__u64 i, frame;

	for (i = 0; i < count; i++) {
		frame = *(const __u64 *)(data + (at + i * sizeof(frame)) % RING);
		if (frame >= from && frame < to)
			return 1;
	}
	return 0;
}

/* Consume the records of a ring. All are multiples of 8 bytes, so no header or number wraps around. */
static void drain(struct perf_event_mmap_page *ring)
{
	const char *data = (const char *)ring + getpagesize();
	__u64 head = __atomic_load_n(&ring->data_head, __ATOMIC_ACQUIRE), tail = ring->data_tail;
	const struct perf_event_header *record;
	__u64 chain, count;

	for (; tail < head; tail += record->size) {
		record = (const void *)(data + tail % RING);
		if (record->type == PERF_RECORD_SAMPLE) {
			chain = tail + sizeof(*record);
			count = *(const __u64 *)(data + chain % RING);
			samples++;
			frames += count;
			within += is_within(data, chain + sizeof(count), count);
		}
	}
	__atomic_store_n(&ring->data_tail, tail, __ATOMIC_RELEASE);
}

static void tell(const char *name, unsigned long long number, const char *what)
{
	printf("live %s %s %llu %s\n", name, number ? "ok" : "FAILED", number, what);
}

int main(int argc, char **argv)
{
	int cpus = sysconf(_SC_NPROCESSORS_ONLN), cpu;
	sigset_t signals;
	unsigned int i;

	if (argc == 3) {
		from = strtoul(argv[1], NULL, 0);
		to = strtoul(argv[2], NULL, 0);
	}
	if (cpus > MOST_CPUS)
		cpus = MOST_CPUS;
	/* SIGTERM is polled, not caught: ppoll() could wait for it, but needs COMPAT_32BIT_TIME on arm. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);

	for (cpu = 0; cpu < cpus; cpu++)
		open_cpu(cpu);
	puts("ready");
	fflush(stdout);
	do {
		poll(sampled, cpus, 20);
		for (cpu = 0; cpu < cpus; cpu++)
			drain(rings[cpu]);
		sigpending(&signals);
	} while (!sigismember(&signals, SIGTERM));

	tell("perf-samples", samples, "samples");
	tell("perf-frames", frames, "frames in their call chains");
	if (to)
		tell("perf-within", within, "samples between the addresses");
	for (i = 0; i < COUNTERS; i++) {
		unsigned long long sum = 0, count;

		for (cpu = 0; cpu < cpus; cpu++)
			if (read(counted[cpu][i], &count, sizeof(count)) == sizeof(count))
				sum += count;
		tell(counters[i].name, sum, counters[i].what);
	}
	return 0;
}
