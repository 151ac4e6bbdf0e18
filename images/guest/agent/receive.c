// SPDX-License-Identifier: GPL-2.0-only
/*
 * receive FOLDER
 * Write the files that the host has posted to the mailbox into FOLDER. The mailbox is the shared memory of an
 * ivshmem-plain device, which sysfs shows without any driver. Numbers are little-endian, as harness/guest/mailbox.py
 * writes them: a mark, the number of files, and for each its name, its place in the memory and its size.
 *
 * The agent maps the memory when it starts, which is before the snapshot.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"

#define DEVICES "/sys/bus/pci/devices"
#define MARK 0x746d636d /* "mcmt" */
#define NAME_BYTES 248

struct entry {
	char name[NAME_BYTES];
	uint32_t place;
	uint32_t size;
};

struct header {
	uint32_t mark;
	uint32_t count;
	struct entry entries[];
};

static unsigned int number(const char *device, const char *file)
{
	char path[512];
	unsigned int value = 0;
	FILE *stream;

	snprintf(path, sizeof(path), DEVICES "/%s/%s", device, file);
	stream = fopen(path, "r");
	if (!stream)
		return 0;
	if (fscanf(stream, "%x", &value) != 1)
		value = 0;
	fclose(stream);
	return value;
}

static const char *mailbox;
static size_t mailbox_size;

/* Map the memory of the device, if there is one. */
void open_mailbox(void)
{
	DIR *dir = opendir(DEVICES);
	struct dirent *entry;
	char path[512];
	struct stat facts;
	void *memory;
	int fd;

	while (dir && !mailbox && (entry = readdir(dir))) {
		if (number(entry->d_name, "vendor") != 0x1af4 || number(entry->d_name, "device") != 0x1110)
			continue;
		snprintf(path, sizeof(path), DEVICES "/%s/enable", entry->d_name);
		fd = open(path, O_WRONLY);
		if (fd < 0 || write(fd, "1", 1) != 1)
			perror(path);
		close(fd);
		snprintf(path, sizeof(path), DEVICES "/%s/resource2", entry->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &facts)) {
			perror(path);
			break;
		}
		memory = mmap(NULL, facts.st_size, PROT_READ, MAP_SHARED, fd, 0);
		close(fd);
		if (memory == MAP_FAILED) {
			perror(path);
			break;
		}
		/* A fork would copy the entries of its page table, one by one. */
		madvise(memory, facts.st_size, MADV_DONTFORK);
		mailbox = memory;
		mailbox_size = facts.st_size;
	}
	if (dir)
		closedir(dir);
}

static int store(const char *folder, const char *name, const char *data, size_t size)
{
	char path[NAME_BYTES + 512], *slash;
	size_t done = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	for (slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(path, 0755) && errno != EEXIST)
			return -1;
		*slash = '/';
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		return -1;
	while (done < size) {
		ssize_t written = write(fd, data + done, size - done);

		if (written <= 0)
			return -1;
		done += written;
	}
	return close(fd);
}

int receive(int argc, char **argv)
{
	const struct header *header;
	uint32_t i;

	if (argc != 2)
		return 2;
	if (!mailbox)
		open_mailbox();
	if (!mailbox) {
		fprintf(stderr, "there is no ivshmem device\n");
		return 1;
	}
	header = (const struct header *)mailbox;
	if (header->mark != MARK || header->count > (mailbox_size - sizeof(*header)) / sizeof(struct entry)) {
		fprintf(stderr, "the mailbox is empty\n");
		return 1;
	}
	for (i = 0; i < header->count; i++) {
		const struct entry *entry = &header->entries[i];

		if (entry->place > mailbox_size || entry->size > mailbox_size - entry->place) {
			fprintf(stderr, "%s is outside of the mailbox\n", entry->name);
			return 1;
		}
		if (store(argv[1], entry->name, mailbox + entry->place, entry->size)) {
			perror(entry->name);
			return 1;
		}
	}
	return 0;
}
