/* Assembler: the way from an interrupt vector to a C handler and back. One 16-byte stub per vector
 * makes the stack look the same for all (an error code of 0 where the CPU pushes none, then the
 * vector); what they jump to saves the registers, calls the handler with RDI at them, and goes
 * back. From the top down the stack then holds SS, RSP, RFLAGS, CS, RIP, error, vector, RAX, RCX,
 * RDX, RBX, RBP, RSI, RDI, R8 to R15: struct trap_frame of who includes this.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_LIB_TRAP_STUBS_H
#define HV_LIB_TRAP_STUBS_H

#define TRAP_STUB_SIZE 16

/* clang-format off */
#ifdef __ASSEMBLER__
/* Defines trap_stubs: 256 entries of TRAP_STUB_SIZE bytes. */
	.macro TRAP_STUBS handler
	.balign TRAP_STUB_SIZE
	.globl trap_stubs
trap_stubs:
	.set vector, 0
	.rept 256
	.balign TRAP_STUB_SIZE
	/* #DF #TS #NP #SS #GP #PF, #AC, #CP, #VC, #SX push an error code. */
	.if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
	pushq $0
	.endif
	pushq $vector
	jmp trap_common
	.set vector, vector + 1
	.endr

	.balign 16
trap_common:
	.irp reg, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	pushq %\reg
	.endr
	cld
	movq %rsp, %rdi
	call \handler
	.irp reg, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
	popq %\reg
	.endr
	addq $16, %rsp
	iretq
	.endm
#endif
/* clang-format on */

#endif
