// SPDX-License-Identifier: GPL-2.0-only
/*
 * A plugin for QEMU that checks the loads and stores of kernel modules against
 * the shadow memory of KASAN, for modules that were built without KASAN.
 *
 * It instruments code in the area that modules are loaded to, from when the
 * harness is about to load one. Other modules and the trampolines of tracers
 * are there, too, so that the harness tells where the module is as soon as it
 * knows. The guest's memory is a shared file, which the plugin maps to read the
 * shadow through the kernel's page tables. harness/guest/accesses.py gives it
 * its arguments and has the same layout of the log.
 */
#include "qemu_plugin.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_BAD		256
#define MAX_CPUS	64
#define MAX_RANGES	16
#define MAX_POISONERS	32
#define GRANULE		8	/* KASAN_GRANULE_SIZE, mm/kasan/kasan.h */
#define PAGE_SHIFT	12
#define LEVEL_BITS	9
#define FRAME		0x0000fffffffff000ull	/* the address in a 64-bit page table entry */

#define NO_SHADOW	-1

/* One for each instruction whose access was bad */
struct bad_access {
	uint64_t instruction;
	uint64_t address;
	uint32_t size;
	uint8_t is_store;
	uint8_t shadow;		/* of the first bad granule */
	uint8_t next_shadow;	/* of the granule behind it */
	uint8_t unused;
};

struct range {
	uint64_t start, end;
};

/* Shared with the harness */
struct log {
	/* The harness writes these; the last one last */
	struct range ranges[MAX_RANGES];
	_Atomic int64_t range_count;		/* only code in these is checked; negative: all code but that in these */
	_Atomic uint64_t page_table;		/* physical address; 0: check nothing */

	/* The harness sets these to 0 before each cell. */
	_Atomic uint64_t checked;		/* accesses */
	_Atomic uint64_t bad;			/* entries */
	struct bad_access entries[MAX_BAD];
};

enum format { X86_64, ARM64, ARM };

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

static struct log *log_;
static const uint8_t *memory;
static uint64_t memory_size, memory_start;
static uint64_t code_start, code_end;		/* of the instrumented area */
static uint64_t shadow_offset, lowest;		/* KASAN_SHADOW_OFFSET, the lowest address that has a shadow */
static enum format format;
static unsigned int address_bits;

/*
 * Another CPU may free an object between an access and its check. These are
 * the kernel's functions that poison memory; an access during which one of
 * them was called is not judged.
 */
static uint64_t poisoners[MAX_POISONERS];
static size_t poisoner_count;
static _Atomic uint64_t poisonings;
static uint64_t poisonings_before[MAX_CPUS];

static atomic_flag writing = ATOMIC_FLAG_INIT;

static const void *at_physical(uint64_t address, size_t size)
{
	uint64_t offset = address - memory_start;

	if (address < memory_start || offset >= memory_size || size > memory_size - offset)
		return NULL;
	return memory + offset;
}

static uint64_t read_entry(uint64_t address, size_t size)
{
	const void *place = at_physical(address, size);

	if (!place)
		return 0;
	return size == 8 ? *(const volatile uint64_t *)place : *(const volatile uint32_t *)place;
}

/* Page tables with 64-bit entries and 4 KB pages */
static const uint8_t *walk_64(uint64_t address)
{
	uint64_t table = log_->page_table, entry;
	unsigned int shift = PAGE_SHIFT;
	bool is_leaf;

	while (shift + LEVEL_BITS < address_bits)
		shift += LEVEL_BITS;
	address &= ~0ull >> (64 - address_bits);
	for (;; shift -= LEVEL_BITS) {
		entry = read_entry((table & FRAME) + (address >> shift & ((1 << LEVEL_BITS) - 1)) * 8, 8);
		if (!(entry & 1))
			return NULL;
		/* Bit 7 is PSE on x86. On ARM, bit 1 is set in the entry of a table or a page. */
		is_leaf = shift == PAGE_SHIFT || (format == X86_64 ? entry & 1 << 7 : !(entry & 2));
		if (is_leaf)
			return at_physical((entry & FRAME & ~0ull << shift) | (address & ~(~0ull << shift)), 1);
		table = entry;
	}
}

/* Page tables of ARM with short descriptors, ARM DDI 0406C, B3.5 */
static const uint8_t *walk_short(uint32_t address)
{
	uint32_t entry = read_entry(log_->page_table + (address >> 20) * 4, 4);

	if ((entry & 3) == 2 && !(entry & 1 << 18))
		return at_physical((entry & 0xfff00000) | (address & 0xfffff), 1);
	if ((entry & 3) != 1)
		return NULL;
	entry = read_entry((entry & 0xfffffc00) + (address >> 12 & 0xff) * 4, 4);
	if ((entry & 3) == 1)
		return at_physical((entry & 0xffff0000) | (address & 0xffff), 1);
	if (entry & 2)
		return at_physical((entry & 0xfffff000) | (address & 0xfff), 1);
	return NULL;
}

static int shadow_of(uint64_t address)
{
	uint64_t shadow = (address >> 3) + shadow_offset;
	const volatile uint8_t *place = format == ARM ? walk_short(shadow) : walk_64(shadow);

	return place ? *place : NO_SHADOW;
}

/*
 * As memory_is_poisoned() of mm/kasan/generic.c. Returns the shadow of the
 * first bad granule, 0 if there is none, NO_SHADOW if that cannot be told.
 */
static int first_bad(uint64_t address, unsigned int size, uint64_t *granule)
{
	uint64_t last = address + size - 1;
	int shadow;

	for (*granule = address & ~(GRANULE - 1ull); *granule <= last; *granule += GRANULE) {
		shadow = shadow_of(*granule);
		if (shadow == NO_SHADOW || shadow >= GRANULE || (shadow && last - *granule >= (uint64_t)shadow))
			return shadow;
	}
	return 0;
}

static bool is_recorded(uint64_t instruction)
{
	uint64_t i;

	for (i = 0; i < log_->bad; i++)
		if (log_->entries[i].instruction == instruction)
			return true;
	return false;
}

static void record(struct bad_access access)
{
	while (atomic_flag_test_and_set(&writing))
		;
	if (log_->bad < MAX_BAD && !is_recorded(access.instruction)) {
		log_->entries[log_->bad] = access;
		log_->bad++;
	}
	atomic_flag_clear(&writing);
}

static bool is_watched(uint64_t instruction)
{
	int64_t count = log_->range_count, i;

	if (!log_->page_table || instruction < code_start || instruction >= code_end)
		return false;
	for (i = 0; i < (count < 0 ? -count : count); i++)
		if (instruction >= log_->ranges[i].start && instruction < log_->ranges[i].end)
			return count > 0;
	return count <= 0;
}

/* KASAN_STACK_LEFT to KASAN_STACK_PARTIAL and KASAN_ALLOCA_LEFT, KASAN_ALLOCA_RIGHT of mm/kasan/kasan.h */
static bool is_of_stack(int shadow)
{
	return (shadow >= 0xf1 && shadow <= 0xf4) || shadow == 0xca || shadow == 0xcb;
}

static void poisoned(unsigned int cpu, void *unused)
{
	atomic_fetch_add(&poisonings, 1);
}

static void before_access(unsigned int cpu, void *unused)
{
	poisonings_before[cpu % MAX_CPUS] = poisonings;
}

static void accessed(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t address, void *instruction)
{
	uint64_t at = (uintptr_t)instruction;
	struct qemu_plugin_hwaddr *place;
	unsigned int size = 1u << qemu_plugin_mem_size_shift(info);
	uint64_t granule;
	int shadow, next;

	if (address < lowest || !is_watched(at))
		return;
	shadow = first_bad(address, size, &granule);
	if (shadow == NO_SHADOW)
		return;
	if (shadow) {
		/* Compiled code poisons stacks itself */
		if (poisoner_count && (is_of_stack(shadow) || poisonings_before[cpu % MAX_CPUS] != poisonings))
			return;
		place = qemu_plugin_get_hwaddr(info, address);
		if (place && qemu_plugin_hwaddr_is_io(place))
			return;
	}
	atomic_fetch_add_explicit(&log_->checked, 1, memory_order_relaxed);
	if (!shadow)
		return;
	next = shadow_of(granule + GRANULE);
	record((struct bad_access){
		.instruction = at,
		.address = address,
		.size = size,
		.is_store = qemu_plugin_mem_is_store(info),
		.shadow = shadow,
		.next_shadow = next == NO_SHADOW ? 0 : next,
	});
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
	size_t count = qemu_plugin_tb_n_insns(block), i, j;

	for (i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
		uint64_t address = qemu_plugin_insn_vaddr(insn);

		for (j = 0; j < poisoner_count; j++)
			if (address == poisoners[j])
				qemu_plugin_register_vcpu_insn_exec_cb(insn, poisoned, QEMU_PLUGIN_CB_NO_REGS, NULL);
		if (!is_watched(address))
			continue;
		if (poisoner_count)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, before_access, QEMU_PLUGIN_CB_NO_REGS, NULL);
		qemu_plugin_register_vcpu_mem_cb(insn, accessed, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW,
						 (void *)(uintptr_t)address);
	}
}

static void *map(const char *path, int access, uint64_t *size)
{
	int file = open(path, access == PROT_READ ? O_RDONLY : O_RDWR);
	struct stat facts;
	void *found;

	if (file < 0 || fstat(file, &facts)) {
		perror(path);
		return NULL;
	}
	*size = facts.st_size;
	found = mmap(NULL, facts.st_size, access, MAP_SHARED, file, 0);
	close(file);
	if (found != MAP_FAILED)
		return found;
	perror(path);
	return NULL;
}

/* The value of an argument NAME=VALUE, NULL if it has another name */
static const char *value_of(const char *argument, const char *name)
{
	size_t length = strlen(name);

	return !strncmp(argument, name, length) && argument[length] == '=' ? argument + length + 1 : NULL;
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
	static const struct {
		const char *name;
		uint64_t *number;
	} numbers[] = {
		{ "memory-start", &memory_start }, { "code-start", &code_start }, { "code-end", &code_end },
		{ "shadow-offset", &shadow_offset }, { "lowest", &lowest },
	};
	const char *value;
	uint64_t log_size = 0;
	size_t i;

	for (; argc; argc--, argv++) {
		for (i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
			if ((value = value_of(*argv, numbers[i].name)))
				*numbers[i].number = strtoull(value, NULL, 0);
		if ((value = value_of(*argv, "memory")))
			memory = map(value, PROT_READ, &memory_size);
		if ((value = value_of(*argv, "log")))
			log_ = map(value, PROT_READ | PROT_WRITE, &log_size);
		if ((value = value_of(*argv, "tables")))
			format = !strcmp(value, "x86_64") ? X86_64 : !strcmp(value, "arm64") ? ARM64 : ARM;
		if ((value = value_of(*argv, "address-bits")))
			address_bits = atoi(value);
		if ((value = value_of(*argv, "poisoner")) && poisoner_count < MAX_POISONERS)
			poisoners[poisoner_count++] = strtoull(value, NULL, 0);
	}
	if (!memory || !log_ || log_size < sizeof(*log_)) {
		fprintf(stderr, "accesses: the memory of the guest and the log cannot be mapped\n");
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
