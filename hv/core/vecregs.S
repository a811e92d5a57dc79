/* Moves between vector register number N and memory: a table of equally long entries, indexed by N.
 * CR0.TS and EM are clear in the hypervisor, so none of these faults.
 *
 * SPDX-License-Identifier: MIT
 */
#define ENTRY_SHIFT 4 /* a move and its RET take at most 6 bytes */
#define REGISTERS   0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15

	/* void \name(unsigned reg, void *buf): jump to entry @reg of the table that follows. */
	.macro table_function name:req
	.balign 1 << ENTRY_SHIFT
	.globl \name
	.type \name, @function
\name:
	and $15, %edi
	shl $ENTRY_SHIFT, %edi
	lea .Ltable_\name(%rip), %rax
	add %rdi, %rax
	jmp *%rax
	.balign 1 << ENTRY_SHIFT
.Ltable_\name:
	.endm

	.macro stores name:req, insn:req, file:req
	table_function \name
	.irp n, REGISTERS
	.balign 1 << ENTRY_SHIFT
	\insn %\file\n, (%rsi)
	ret
	.endr
	.size \name, . - \name
	.endm

	.macro loads name:req, insn:req, file:req
	table_function \name
	.irp n, REGISTERS
	.balign 1 << ENTRY_SHIFT
	\insn (%rsi), %\file\n
	ret
	.endr
	.size \name, . - \name
	.endm

	.text
	stores vecreg_store16, movups, xmm
	loads vecreg_load16, movups, xmm
	stores vecreg_store32, vmovups, ymm
	loads vecreg_load32, vmovups, ymm
	.section .note.GNU-stack, "", @progbits
