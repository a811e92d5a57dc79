/* Moves between vector register number N and memory: a table of equally long entries, indexed by N.
 * CR0.TS and EM are clear in the hypervisor, so none of these faults.
 *
 * SPDX-License-Identifier: MIT
 */
	.macro entries insn:req, form:req
	.set i, 0
	.rept 16
	.balign 16
	entry \insn, \form, %i
	.set i, i + 1
	.endr
	.endm

	.altmacro
	.macro entry insn:req, form:req, n:req
	.ifc \form, load
	\insn (%rsi), %xmm&n
	.else
	.ifc \form, store
	\insn %xmm&n, (%rsi)
	.else
	.ifc \form, loady
	\insn (%rsi), %ymm&n
	.else
	\insn %ymm&n, (%rsi)
	.endif
	.endif
	.endif
	ret
	.endm

	.text
	.macro dispatch name:req, table:req
	.globl \name
	.type \name, @function
\name:
	and $15, %edi
	shl $4, %edi
	lea \table(%rip), %rax
	add %rdi, %rax
	jmp *%rax
	.endm

	/* void NAME(unsigned reg, void *buf) */
	dispatch vecreg_store16, table_store16
	dispatch vecreg_load16, table_load16
	dispatch vecreg_store32, table_store32
	dispatch vecreg_load32, table_load32

	.balign 16
table_store16:
	entries movups, store
	.balign 16
table_load16:
	entries movups, load
	.balign 16
table_store32:
	entries vmovups, storey
	.balign 16
table_load32:
	entries vmovups, loady
	.section .note.GNU-stack, "", @progbits
