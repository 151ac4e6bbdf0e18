// SPDX-License-Identifier: GPL-2.0-only
/*
 * List what the kernel shows of itself in /proc, /sys and /dev, to see what a module brings and takes away.
 *
 * observe save FILE    write the list to FILE
 * observe since FILE   print /proc/modules and a line "names:"; then the names that FILE lacks with "+", and those
 *                      that are gone with "-", in no order
 *
 * Names that differ from boot to boot, or with every process, are left out: processes, and the slab caches.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <stdint.h>
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

/* The names, and a table of them by hash, in which an entry is free if it is 0 and else the number of a name, plus 1. */
static char **names;
static unsigned char *found;
static size_t count, room;
static uint32_t *table;
static size_t slots;

static void *grown(void *memory, size_t bytes)
{
	memory = realloc(memory, bytes);
	if (!memory)
		exit(1);
	return memory;
}

static void add(const char *name)
{
	if (count == room) {
		room = room ? 2 * room : 4096;
		names = grown(names, room * sizeof(*names));
	}
	names[count] = strdup(name);
	if (!names[count++])
		exit(1);
}

static size_t hash(const char *name)
{
	uint32_t value = 2166136261u; /* FNV-1a */

	while (*name)
		value = (value ^ (unsigned char)*name++) * 16777619u;
	return value & (slots - 1);
}

/* Put the names into the table. Names may be there twice, as files of sysfs are not: a line of /proc/devices is. */
static void make_table(void)
{
	size_t i, at;

	for (slots = 1024; slots < 2 * count; slots *= 2)
		;
	table = grown(NULL, slots * sizeof(*table));
	memset(table, 0, slots * sizeof(*table));
	found = grown(NULL, count + 1);
	memset(found, 0, count);
	for (i = 0; i < count; i++) {
		for (at = hash(names[i]); table[at]; at = (at + 1) & (slots - 1))
			;
		table[at] = i + 1;
	}
}

/* Find a name that was not found yet. Returns 0 if there is none. */
static int find(const char *name)
{
	size_t at;

	for (at = hash(name); table[at]; at = (at + 1) & (slots - 1))
		if (!found[table[at] - 1] && !strcmp(names[table[at] - 1], name)) {
			found[table[at] - 1] = 1;
			return 1;
		}
	return 0;
}

static int is_process(const char *folder, const char *name)
{
	return !strcmp(folder, "/proc") && (isdigit(*name) || strstr(name, "self"));
}

static void list(const char *folder, int depth)
{
	char path[PATH_BYTES];
	struct dirent *entry;
	DIR *dir = opendir(folder);

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || is_process(folder, entry->d_name))
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) >= (int)sizeof(path))
			continue;
		add(path);
		if (depth > 1 && entry->d_type == DT_DIR)
			list(path, depth - 1);
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
	size_t i;

	if (!stream)
		return 1;
	make_table();
	while (fgets(line, sizeof(line), stream)) {
		line[strcspn(line, "\n")] = 0;
		if (!find(line))
			printf("-%s\n", line);
	}
	for (i = 0; i < count; i++)
		if (!found[i])
			printf("+%s\n", names[i]);
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
		list(folders[i].path, folders[i].depth);
	for (i = 0; i < sizeof(tables) / sizeof(*tables); i++)
		list_lines(tables[i]);
	return is_since ? since(argv[2]) : save(argv[2]);
}
