// SPDX-License-Identifier: GPL-2.0-only
/*
 * List what the kernel shows of itself in /proc, /sys and /dev, to see what a module brings and takes away.
 *
 * observe save FILE    write the sorted list to FILE
 * observe since FILE   print /proc/modules and a line "names:"; then the lines that FILE lacks with "+", and those that
 *                      are gone with "-"
 *
 * Names that differ from boot to boot, or with every process, are left out: processes, and the slab caches.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"

#define PATH_BYTES 4096

/* Folders, and how many levels below them are listed. */
static const struct {
	const char *path;
	int depth;
} folders[] = {
	{ "/proc", 3 },
	{ "/proc/self/net", 2 },
	{ "/sys/block", 1 },
	{ "/sys/bus", 3 },
	{ "/sys/class", 2 },
	{ "/sys/devices/virtual", 2 },
	{ "/sys/fs", 2 },
	{ "/sys/kernel", 1 },
	{ "/sys/kernel/debug", 1 },
	{ "/sys/module", 1 },
	{ "/dev", 2 },
};

/* Files that list things by name. Their numbers are left out, as the kernel may give others. */
static const char *const tables[] = { "/proc/devices", "/proc/filesystems", "/proc/misc", "/proc/crypto" };

static char **names;
static size_t count, room;

static void add(const char *name)
{
	if (count == room) {
		room = room ? 2 * room : 4096;
		names = realloc(names, room * sizeof(*names));
		if (!names)
			exit(1);
	}
	names[count] = strdup(name);
	if (!names[count++])
		exit(1);
}

static int is_process(const char *folder, const char *name)
{
	return !strcmp(folder, "/proc") && (isdigit(*name) || !strcmp(name, "self") || !strcmp(name, "thread-self"));
}

/* at: the open folder that name is in. A whole path would cost the kernel locks for each of its components. */
static void list(int at, const char *name, const char *folder, int depth)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	char path[PATH_BYTES];
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || is_process(folder, entry->d_name))
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) >= (int)sizeof(path))
			continue;
		add(path);
		if (depth > 1 && entry->d_type == DT_DIR)
			list(fd, entry->d_name, path, depth - 1);
	}
	closedir(dir);
}

static void list_lines(const char *file)
{
	char line[512], path[PATH_BYTES];
	FILE *stream = fopen(file, "r");
	char *at;

	if (!stream)
		return;
	while (fgets(line, sizeof(line), stream)) {
		/* of /proc/crypto, the implementations */
		if (strstr(file, "crypto") && strncmp(line, "driver", 6))
			continue;
		line[strcspn(line, "\n")] = 0;
		for (at = line; isspace(*at) || isdigit(*at); at++)
			;
		if (*at) {
			snprintf(path, sizeof(path), "%s: %s", file, at);
			add(path);
		}
	}
	fclose(stream);
}

static int order(const void *one, const void *other)
{
	return strcmp(*(char *const *)one, *(char *const *)other);
}

static int save(const char *file)
{
	FILE *stream = fopen(file, "w");
	size_t i;

	if (!stream)
		return 1;
	for (i = 0; i < count; i++)
		fprintf(stream, "%s\n", names[i]);
	return fclose(stream) ? 1 : 0;
}

static int since(const char *file)
{
	char line[PATH_BYTES];
	FILE *stream = fopen(file, "r");
	size_t i = 0;
	int more;

	if (!stream)
		return 1;
	for (more = !!fgets(line, sizeof(line), stream); more || i < count;) {
		int difference;

		line[strcspn(line, "\n")] = 0;
		difference = !more ? 1 : i == count ? -1 : strcmp(line, names[i]);
		if (difference < 0)
			printf("-%s\n", line);
		else if (difference > 0)
			printf("+%s\n", names[i]);
		if (difference >= 0)
			i++;
		if (difference <= 0)
			more = !!fgets(line, sizeof(line), stream);
	}
	return fclose(stream) ? 1 : 0;
}

int observe(int argc, char **argv)
{
	char *modules[] = { argv[0], "/proc/modules" };
	int is_since;
	size_t i;

	if (argc != 3)
		return 2;
	is_since = strcmp(argv[1], "save");
	if (is_since) {
		if (print_files(2, modules))
			return 1;
		printf("names:\n");
	}
	for (i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		list(AT_FDCWD, folders[i].path, folders[i].path, folders[i].depth);
	for (i = 0; i < sizeof(tables) / sizeof(*tables); i++)
		list_lines(tables[i]);
	qsort(names, count, sizeof(*names), order);
	return is_since ? since(argv[2]) : save(argv[2]);
}
