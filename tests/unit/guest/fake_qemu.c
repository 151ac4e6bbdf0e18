// SPDX-License-Identifier: GPL-2.0-only
/* QEMU's side of the plugin's interface, for a test: one block of code at a time, and accesses on request. */
#include "qemu_plugin.h"

#define MOST 64

struct qemu_plugin_insn {
	uint64_t address;
	qemu_plugin_executed_t executed;
	qemu_plugin_accessed_t accessed;
	void *data;
};

struct qemu_plugin_tb {
	size_t count;
	struct qemu_plugin_insn insns[MOST];
};

static qemu_plugin_translated_t translated;
static bool is_io;

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, qemu_plugin_translated_t callback)
{
	(void)id;
	translated = callback;
}

void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, qemu_plugin_executed_t executed,
					    enum qemu_plugin_cb_flags flags, void *data)
{
	(void)flags, (void)data;
	insn->executed = executed;
}

void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, qemu_plugin_accessed_t accessed,
				      enum qemu_plugin_cb_flags flags, enum qemu_plugin_mem_rw rw, void *data)
{
	(void)flags, (void)rw;
	insn->accessed = accessed;
	insn->data = data;
}

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block)
{
	return block->count;
}

struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index)
{
	return (struct qemu_plugin_insn *)&block->insns[index];
}

uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn)
{
	return insn->address;
}

unsigned int qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t info)
{
	return info & 0xf;
}

bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t info)
{
	return info & 0x10;
}

struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(qemu_plugin_meminfo_t info, uint64_t address)
{
	(void)info, (void)address;
	return (struct qemu_plugin_hwaddr *)&is_io;
}

bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *place)
{
	return *(const bool *)place;
}

/*
 * Execute an instruction, during which another CPU calls the function at
 * `meanwhile` (0: none) behind the access. Returns whether it is instrumented.
 */
bool run(uint64_t instruction, uint64_t address, uint32_t info, bool of_device, uint64_t meanwhile)
{
	struct qemu_plugin_tb block = { .count = 2, .insns = { { .address = instruction }, { .address = meanwhile } } };

	is_io = of_device;
	translated(0, &block);
	if (block.insns[0].executed)
		block.insns[0].executed(0, NULL);
	if (block.insns[1].executed)
		block.insns[1].executed(1, NULL);
	if (block.insns[0].accessed)
		block.insns[0].accessed(0, info, address, block.insns[0].data);
	return block.insns[0].accessed;
}
