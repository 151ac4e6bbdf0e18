// SPDX-License-Identifier: Apache-2.0
/* The side of QEMU of the plugin kept_code: blocks of one instruction each. */
#include "qemu_plugin.h"

struct qemu_plugin_insn {
	void *memory;
	const void *read;
	uint64_t address;
	size_t size;
};

static qemu_plugin_translated_t translated;
static qemu_plugin_called_t flushed;

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, qemu_plugin_translated_t called)
{
	translated = called;
}

void qemu_plugin_register_flush_cb(qemu_plugin_id_t id, qemu_plugin_called_t called)
{
	flushed = called;
}

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block)
{
	return 1;
}

struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index)
{
	return (struct qemu_plugin_insn *)block;
}

uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn)
{
	return insn->address;
}

void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *insn)
{
	return insn->memory;
}

const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn)
{
	return insn->read;
}

size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn)
{
	return insn->size;
}

/* read: the bytes that are translated */
void translate(void *memory, const void *read, uint64_t address, size_t size)
{
	struct qemu_plugin_insn insn = { memory, read, address, size };

	translated(0, (struct qemu_plugin_tb *)&insn);
}

void flush(void)
{
	flushed(0);
}
