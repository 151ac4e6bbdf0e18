# SPDX-License-Identifier: Apache-2.0
"""Structure members that code accesses, read from objdump listings."""

import pytest

from harness.abi.elf.dwarf import Layout, Member
from harness.abi.elf.exported_types import ExportedTypes, Field, Type
from harness.abi.predict.decoders import instructions
from harness.abi.predict.member_accesses import Function, MemberAccess, ModuleCode, SectionOffset, accesses
from harness.kernel.arch import ARCHITECTURES, ARM64

TASK, MM = "struct task_struct", "struct mm_struct"
OPEN: Type = ("", "*struct inode", "*struct file")
SURFACE = ExportedTypes(
    {
        "get_task_mm": (f"*{MM}", f"*{TASK}"),
        "misc_register": ("", "*struct miscdevice"),
        "init_task": TASK,
        "system_wq": "*struct workqueue_struct",
    },
    {
        TASK: (Field(768, "mm", f"*{MM}"), Field(800, "se", "struct entity")),
        "struct entity": (Field(8, "parent", "*struct entity"),),
        "struct miscdevice": (Field(16, "fops", "*struct file_operations"),),
        "struct file_operations": (Field(104, "open", OPEN),),
    },
)
LISTINGS = {
    "x86_64": """
   0:	mov    %gs:0x0,%rax	5: R_X86_64_32S	current_task
   9:	mov    0x300(%rax),%rbx
  10:	test   %rbx,%rbx
  13:	je     20 <run+0x20>
  15:	mov    0x8(%rbx),%eax
  18:	mov    0x30(%rax),%eax
  20:	mov    %rbx,0x8(%rsp)
  25:	mov    0x328(%rcx),%rax
  2a:	mov    0x8(%rsp),%rdx
  2f:	addl   $0x1,0x7a0(%rdx)
  36:	ret
""",
    "arm": """
   0:	mrc	15, 0, r3, cr13, cr0, {3}
   4:	ldr	r4, [r3, #768]	@ 0x300
   8:	cmp	r4, #0
   c:	beq	20 <run+0x20>
  10:	ldr	r3, [r4, #8]
  14:	ldr	r3, [r3, #48]	@ 0x30
  20:	str	r4, [sp, #8]
  24:	ldr	r2, [sp, #8]
  28:	str	r1, [r2, #1952]	@ 0x7a0
  2c:	bx	lr
""",
    "arm64": """
   0:	mrs	x0, sp_el0
   4:	ldr	x19, [x0, #768]
   8:	cbz	x19, 20 <run+0x20>
   c:	ldr	w0, [x19, #8]
  10:	ldr	w0, [x0, #48]
  20:	str	x19, [sp, #8]
  24:	ldr	x1, [sp, #8]
  28:	str	w3, [x1, #1952]
  2c:	ret
""",
    "riscv64": """
   0:	ld	s1,768(tp) # 300 <run+0x300>
   4:	beqz	s1,20 <.L4>	4: R_RISCV_BRANCH	.L4
   8:	lw	a5,8(s1)
   c:	lw	a5,48(a5)
  20:	sd	s1,8(sp)
  22:	ld	a4,8(sp)
  24:	sw	a3,1952(a4)
  28:	ret
""",
}


def touched(
    arch: str, *parts: tuple[str, SectionOffset, str], **more: dict[SectionOffset, SectionOffset | str]
) -> set[tuple[str, int]]:
    abi = ARCHITECTURES[arch]
    functions = {
        place: Function(name, place, tuple(instructions(text.splitlines(), abi.instruction_set)))
        for name, place, text in parts
    }
    symbols = {place.section: SectionOffset(place.section, 0) for _, place, _ in parts} | {
        ".data": SectionOffset(".data", 0)
    }
    found = accesses(ModuleCode(abi.calling_convention, functions, symbols, **more), SURFACE)
    return {(access.struct, access.offset) for access in found}


@pytest.mark.parametrize("arch", LISTINGS)
def test_pointers_are_followed_from_current(arch: str) -> None:
    found = touched(arch, ("run", SectionOffset(".text", 0), LISTINGS[arch]))
    assert found == {(TASK, 768), (MM, 8), (MM, 0x7A0)}


def test_an_access_names_its_function() -> None:
    place = SectionOffset(".text", 0)
    function = Function("run", place, tuple(instructions(LISTINGS["arm64"].splitlines(), ARM64.instruction_set)))
    assert MemberAccess(TASK, 768, "run") in accesses(ModuleCode(ARM64.calling_convention, {place: function}), SURFACE)


def test_what_an_imported_function_returns_is_known_and_what_it_spoils_is_not() -> None:
    text = """
   0:	call   5 <run+0x5>	1: R_X86_64_PLT32	get_task_mm-0x4
   5:	mov    0x18(%rax),%rdx
   9:	call   e <run+0xe>	a: R_X86_64_PLT32	unknown-0x4
   e:	mov    0x20(%rax),%rdx
  12:	ret
"""
    assert touched("x86_64", ("run", SectionOffset(".text", 0), text)) == {(MM, 0x18)}


def test_types_are_found_where_another_layout_has_them() -> None:
    moved = SURFACE.at_offsets_of({TASK: Layout(TASK, 2000, (Member("mm", 776, 8, f"{MM} *"),))})
    assert moved.fields[TASK] == (Field(776, "mm", f"*{MM}"),)
    assert moved.fields["struct entity"] == SURFACE.fields["struct entity"]


def test_embedded_structures_are_looked_into() -> None:
    text = """
   0:	mov    $0x0,%rdi	3: R_X86_64_32S	init_task
   7:	mov    0x328(%rdi),%rax
   e:	mov    0x4(%rax),%eax
  11:	ret
"""
    assert touched("x86_64", ("run", SectionOffset(".text", 0), text)) == {(TASK, 0x328), ("struct entity", 4)}


def touched_by_driver(register: str, opened: str) -> set[tuple[str, int]]:
    """What a driver touches: its init, which registers a table of functions in .data, and the function for open()."""
    links: dict[SectionOffset, SectionOffset | str] = {
        SectionOffset(".data", 0x50): SectionOffset(".rodata", 0x100),
        SectionOffset(".rodata", 0x100 + 104): SectionOffset(".text", 0x20),
    }
    parts = (("init", SectionOffset(".init.text", 0), register), ("device_open", SectionOffset(".text", 0x20), opened))
    return touched("x86_64", *parts, links=links)


def test_a_callback_is_found_through_the_table_that_was_registered() -> None:
    register = """
   0:	mov    $0x0,%rdi	3: R_X86_64_32S	.data+0x40
   7:	call   c <init+0xc>	8: R_X86_64_PLT32	misc_register-0x4
   c:	ret
"""
    opened = """
  20:	mov    0xc0(%rsi),%rax
  27:	mov    0x230(%rdi),%rax
  2e:	ret
"""
    assert touched_by_driver(register, opened) == {("struct file", 0xC0), ("struct inode", 0x230)}


def test_a_part_that_the_compiler_kept_apart_is_read_with_what_jumps_to_it() -> None:
    hot = """
   0:	mov    %gs:0x0,%rbx	5: R_X86_64_32S	current_task
   9:	jmp    e <run+0xe>	a: R_X86_64_PC32	.text.unlikely-0x4
"""
    cold = "   0:\tmov    0x18(%rbx),%eax\n   3:\tret\n"
    parts = (("run.cold", SectionOffset(".text.unlikely", 0), cold), ("run", SectionOffset(".text", 0), hot))
    assert touched("x86_64", *parts) == {(TASK, 0x18)}


def test_a_call_on_riscv64_takes_its_symbol_from_the_instruction_in_front() -> None:
    text = """
   0:	auipc	ra,0x0	0: R_RISCV_CALL_PLT	get_task_mm
   4:	jalr	ra # 0 <run>
   8:	lw	a5,24(a0)
   c:	jalr	a5
  10:	lw	a5,32(a0)
  14:	ret
"""
    assert touched("riscv64", ("run", SectionOffset(".text", 0), text)) == {(MM, 24)}


def test_a_tail_call_on_riscv64_leaves_for_another_section() -> None:
    main = """
   0:	mv	s1,tp
   2:	auipc	t1,0x0	2: R_RISCV_CALL_PLT	.text.unlikely
   6:	jr	t1
"""
    cold = "   0:\tamoadd.w\ta4,a5,(s1)\n   4:\tret\n"
    parts = (("run", SectionOffset(".text", 0), main), ("run.cold", SectionOffset(".text.unlikely", 0), cold))
    assert touched("riscv64", *parts) == {(TASK, 0)}


@pytest.mark.parametrize(
    ("arch", "text"),
    [
        ("x86_64", "   0:\tmov    0x0(%rip),%rax        # 7 <run+0x7>\t3: R_X86_64_PC32\t__this_module+0x2a4\n"),
        (
            "arm",
            (
                "   0:\tmovw\tr7, #0\t0: R_ARM_MOVW_ABS_NC\t__this_module\n"
                "   4:\tmovt\tr7, #0\t4: R_ARM_MOVT_ABS\t__this_module\n   8:\tldr\tr4, [r7, #680]!\t@ 0x2a8\n"
            ),
        ),
        (
            "arm64",
            (
                "   0:\tadrp\tx0, 0 <__this_module>\t0: R_AARCH64_ADR_PREL_PG_HI21\t__this_module+0x100\n"
                "   4:\tadd\tx0, x0, #0x0\t4: R_AARCH64_ADD_ABS_LO12_NC\t__this_module+0x100\n"
                "   8:\tldr\tx1, [x0, #424]\n"
            ),
        ),
        (
            "riscv64",
            (
                "   0:\tauipc\ta4,0x0\t0: R_RISCV_PCREL_HI20\t__this_module+0x100\n"
                "   4:\tmv\ta4,a4\t4: R_RISCV_PCREL_LO12_I\t.L0 \n   8:\tld\ta5,424(a4)\n"
            ),
        ),
        (
            "riscv64",
            (
                "   0:\tauipc\ta5,0x0\t0: R_RISCV_PCREL_HI20\t__this_module+0x2a8\n"
                "   4:\tld\ta0,0(a5)\t4: R_RISCV_PCREL_LO12_I\t.L0 \n"
            ),
        ),
        (
            "riscv64",
            (
                "   0:\tauipc\ta5,0x0\t0: R_RISCV_GOT_HI20\t__this_module\n"
                "   4:\tld\ta5,0(a5)\t4: R_RISCV_PCREL_LO12_I\t.L0 \n   8:\tsd\ta0,680(a5)\n"
            ),
        ),
    ],
    ids=["x86_64", "arm", "arm64", "riscv64", "riscv64-load", "riscv64-table"],
)
def test_the_modules_own_struct_module_is_known(arch: str, text: str) -> None:
    assert touched(arch, ("run", SectionOffset(".text", 0), text)) == {("struct module", 0x2A8)}


def test_the_call_of_a_tracer_keeps_the_arguments() -> None:
    """Each function begins with one where production has a function tracer; arm's is __gnu_mcount_nc."""
    register = """
   0:	mov    $0x0,%rdi	3: R_X86_64_32S	.data+0x40
   7:	jmp    c <init+0xc>	8: R_X86_64_PLT32	misc_register-0x4
"""
    opened = """
  20:	call   25 <device_open+0x5>	21: R_X86_64_PLT32	__fentry__-0x4
  25:	mov    0xc0(%rsi),%rax
  2c:	ret
"""
    assert touched_by_driver(register, opened) == {("struct file", 0xC0)}, "init ends in a tail call"


def test_a_function_that_is_called_or_jumped_to_at_the_beginning_of_a_section_gets_arguments() -> None:
    first = "   0:\tmov    0x18(%rdi),%eax\n   3:\tret\n"
    second = "  40:\tmov    0x20(%rdi),%eax\n  43:\tret\n"
    caller = """
  80:	mov    %gs:0x0,%rdi	85: R_X86_64_32S	current_task
  89:	call   0 <first>
  8e:	mov    %gs:0x0,%rdi	93: R_X86_64_32S	current_task
  97:	jmp    40 <second>
"""
    parts = [
        (name, SectionOffset(".text", at), text) for name, at, text in (("first", 0, first), ("second", 0x40, second))
    ]
    found = touched("x86_64", *parts, ("caller", SectionOffset(".text", 0x80), caller))
    assert found == {(TASK, 0x18), (TASK, 0x20)}


def test_code_that_nothing_is_known_to_lead_to_does_not_count_where_paths_meet() -> None:
    """Padding behind a return, and the way back from a warning: ud2 goes on in its handler."""
    text = """
   0:	mov    %gs:0x0,%rbx	5: R_X86_64_32S	current_task
   9:	test   %rbx,%rbx
   c:	jne    20 <run+0x20>
   e:	ret
   f:	cs nopw 0x0(%rax,%rax,1)
  20:	mov    0x18(%rbx),%eax
  23:	jne    30 <run+0x30>
  25:	ret
  26:	ud2
  28:	jmp    30 <run+0x30>
  30:	mov    0x20(%rbx),%eax
  33:	ret
"""
    assert touched("x86_64", ("run", SectionOffset(".text", 0), text)) == {(TASK, 0x18), (TASK, 0x20)}


def test_padding_is_no_access() -> None:
    text = """
   0:	mov    %gs:0x0,%rax	5: R_X86_64_32S	current_task
   9:	nopl   0x40(%rax)
   d:	ret
"""
    assert touched("x86_64", ("run", SectionOffset(".text", 0), text)) == set()


def test_a_slot_on_the_stack_is_another_one_when_the_stack_pointer_has_moved() -> None:
    text = """
   0:	mov    %gs:0x0,%rax	5: R_X86_64_32S	current_task
   9:	mov    %rax,0x8(%rsp)
   e:	push   $0x8
  10:	mov    0x8(%rsp),%rdx
  15:	mov    0x18(%rdx),%eax
  18:	add    $0x8,%rsp
  1c:	mov    0x8(%rsp),%rdx
  21:	mov    0x20(%rdx),%eax
  24:	ret
"""
    assert touched("x86_64", ("run", SectionOffset(".text", 0), text)) == set()


def test_an_argument_that_callers_disagree_about_stays_unknown() -> None:
    callee = "  40:\tmov    0x18(%rdi),%eax\n  43:\tret\n"
    task, mm = (
        "mov    %gs:0x0,%rdi	{}: R_X86_64_32S	current_task",
        "call   {:x} <x>	{:x}: R_X86_64_PLT32	get_task_mm-0x4",
    )
    lines = [f"  80:	{task.format('85')}", "  89:	call   40 <callee>"]
    for at in (0x90, 0xA0):
        lines += [
            f"  {at:x}:	{mm.format(at + 5, at + 1)}",
            f"  {at + 5:x}:	mov    %rax,%rdi",
            f"  {at + 8:x}:	call   40 <callee>",
        ]
    text = "\n".join(["", *lines, "  b0:	ret", ""])
    parts = (("callee", SectionOffset(".text", 0x40), callee), ("caller", SectionOffset(".text", 0x80), text))
    assert (MM, 0x18) not in touched("x86_64", *parts)


def test_a_pointer_that_arm_compares_while_it_copies_it_is_known() -> None:
    text = """
   0:	bl	0 <get_task_mm>	0: R_ARM_CALL	get_task_mm
   4:	subs	r4, r0, #0
   8:	bxeq	lr
   c:	ldr	r3, [r4, #24]
  10:	bx	lr
"""
    assert touched("arm", ("run", SectionOffset(".text", 0), text)) == {(MM, 24)}


def test_both_registers_of_a_pair_are_accessed() -> None:
    text = """
   0:	mrs	x0, sp_el0
   4:	ldp	x1, x2, [x0, #760]
   8:	ldr	w3, [x2, #8]
   c:	stp	w4, w5, [x0, #16]
  10:	ldp	x0, x6, [x0]
  14:	ret
"""
    found = touched("arm64", ("run", SectionOffset(".text", 0), text))
    assert found == {(TASK, 760), (TASK, 768), (MM, 8), (TASK, 16), (TASK, 20), (TASK, 0), (TASK, 8)}
