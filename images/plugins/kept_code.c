// SPDX-License-Identifier: GPL-2.0-only
/*
 * A plugin of QEMU that tells whether the code that QEMU has translated is still in the guest's memory.
 *
 * A restore writes to the guest's memory past all that QEMU does when a guest writes to code. So it usually throws away
 * what was translated. This plugin keeps a copy of all code that is translated. After a restore, it compares it with the
 * memory, and answers.
 *
 * Code in the area for modules may differ: no module is loaded in a restored guest, so that the kernel writes there
 * before it runs anything, and QEMU notices that. Such code is forgotten.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qemu_plugin.h"

#define PAGE_BYTES 4096
#define BUCKETS 16384

/* A page of the guest's memory with translated code. */
struct page {
	struct page *next;
	const uint8_t *memory;
	/* addresses in the guest at which it was translated */
	uint64_t lowest, highest;
	uint8_t code[PAGE_BYTES] __attribute__((aligned(8)));
	/* 0xff for each byte of `code` that is known, 0 for others */
	uint8_t known[PAGE_BYTES] __attribute__((aligned(8)));
};

/* harness/guest/kept_code.py */
struct question {
	/* the area for modules: its first address, and the first one behind it */
	uint64_t start, end;
};

struct answer {
	/* pages outside of that area whose code has changed */
	uint32_t changed;
};

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct page *buckets[BUCKETS];
static int channel = -1;

static struct page *page_at(const uint8_t *memory)
{
	struct page **bucket = &buckets[((uintptr_t)memory / PAGE_BYTES) % BUCKETS];
	struct page *page;

	for (page = *bucket; page; page = page->next)
		if (page->memory == memory)
			return page;
	page = calloc(1, sizeof(*page));
	if (!page)
		abort();
	page->memory = memory;
	page->lowest = UINT64_MAX;
	page->next = *bucket;
	*bucket = page;
	return page;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
	size_t count = qemu_plugin_tb_n_insns(block), i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
		const uint8_t *code = qemu_plugin_insn_haddr(insn);
		uint64_t address = qemu_plugin_insn_vaddr(insn);
		size_t size = qemu_plugin_insn_size(insn), offset = (uintptr_t)code % PAGE_BYTES;
		struct page *page;

		if (!code)
			continue; /* not in memory, so that nothing restores it */
		/* Where the next page is, is not known; and code that is patched differs in its first byte. */
		if (size > PAGE_BYTES - offset)
			size = PAGE_BYTES - offset;
		page = page_at(code - offset);
		if (address < page->lowest)
			page->lowest = address;
		if (address > page->highest)
			page->highest = address;
#if QEMU_PLUGIN_VERSION == 1
		/* QEMU before 8.1 does not notice if another CPU changes the code while it is translated. */
		code = qemu_plugin_insn_data(insn);
#endif
		memcpy(page->code + offset, code, size);
		memset(page->known + offset, 0xff, size);
	}
	pthread_mutex_unlock(&lock);
}

static int is_unchanged(const struct page *page)
{
	uint64_t known, code, memory, differs = 0;
	size_t i;

	for (i = 0; i < PAGE_BYTES; i += sizeof(uint64_t)) {
		memcpy(&known, page->known + i, sizeof(known));
		memcpy(&code, page->code + i, sizeof(code));
		memcpy(&memory, page->memory + i, sizeof(memory));
		differs |= known & (code ^ memory);
	}
	return !differs;
}

static struct answer compare(const struct question *question)
{
	struct answer answer = { 0 };
	struct page **link, *page;
	size_t i;

	for (i = 0; i < BUCKETS; i++) {
		for (link = &buckets[i]; (page = *link);) {
			if (is_unchanged(page)) {
				link = &page->next;
			} else if (page->lowest < question->start || page->highest >= question->end) {
				answer.changed++; /* until QEMU has thrown it away */
				link = &page->next;
			} else {
				*link = page->next;
				free(page);
			}
		}
	}
	return answer;
}

/* QEMU has thrown all translated code away. */
static void flushed(qemu_plugin_id_t id)
{
	struct page *page, *next;
	size_t i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < BUCKETS; i++) {
		for (page = buckets[i]; page; page = next) {
			next = page->next;
			free(page);
		}
		buckets[i] = NULL;
	}
	pthread_mutex_unlock(&lock);
}

static void *serve(void *unused)
{
	struct question question;
	struct answer answer;

	while (read(channel, &question, sizeof(question)) == sizeof(question)) {
		pthread_mutex_lock(&lock);
		answer = compare(&question);
		pthread_mutex_unlock(&lock);
		if (write(channel, &answer, sizeof(answer)) != sizeof(answer))
			break;
	}
	return NULL;
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
	static const char name[] = "channel=";
	sigset_t all, before;
	pthread_t thread;
	int failed;

	for (; argc; argc--, argv++)
		if (!strncmp(*argv, name, strlen(name)))
			channel = atoi(*argv + strlen(name));
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for QEMU's own threads */
	failed = channel < 0 || pthread_create(&thread, NULL, serve, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed) {
		fprintf(stderr, "kept_code: there is no channel, or no thread for it\n");
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_flush_cb(id, flushed);
	return 0;
}
