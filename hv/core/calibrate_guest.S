/* The code of the calibration's guest: 64-bit, privileged, at any address, no stack, no interrupts.
 * Copied into its memory; every loop below is entered at its label (calibrate_probe.c).
 *
 * SPDX-License-Identifier: MIT
 */
	.section .rodata
	.code64
	.globl probe_code, probe_code_end
	.globl probe_cpuid, probe_cr3, probe_invlpg, probe_fault, probe_touch, probe_loads
	.balign 16, 0x90
probe_code:

/* Each exits at its first instruction, which the hypervisor steps over. */
probe_cpuid:
	cpuid
	jmp	probe_cpuid
	.balign 16, 0x90
probe_cr3:				/* RAX: CR3 */
	mov	%rax, %cr3
	jmp	probe_cr3
	.balign 16, 0x90
probe_invlpg:				/* RDI: any address */
	invlpg	(%rdi)
	jmp	probe_invlpg
	.balign 16, 0x90
probe_fault:				/* RDI: a page that is not there */
	mov	(%rdi), %eax
	jmp	probe_fault

/* One load from each of RCX pages, RSI bytes apart, from RDI on. */
	.balign 16, 0x90
probe_touch:
	mov	(%rdi), %eax
	add	%rsi, %rdi
	dec	%rcx
	jnz	probe_touch
	cpuid

/* RCX loads from random pages of RSI + 1 (a power of two) at RDI, each waiting for the one before:
 * all of the memory is zero, and what was loaded goes into the next address. One line of a page is
 * ever used, page mod 64. R8: state of the generator (Knuth's MMIX constants in R10 and R11). RAX
 * at the end: cycles. */
	.balign 64, 0x90
probe_loads:
	lfence
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, %r9
	.balign 16, 0x90
1:	imul	%r10, %r8
	add	%r11, %r8
	mov	%r8, %rax
	shr	$33, %rax
	and	%rsi, %rax
	mov	%eax, %edx
	and	$63, %edx
	shl	$12, %rax
	shl	$6, %edx
	add	%rdx, %rax
	mov	(%rdi,%rax), %rdx
	add	%rdx, %r8
	dec	%rcx
	jnz	1b
	lfence
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	sub	%r9, %rax
	cpuid
probe_code_end:
	.section .note.GNU-stack, "", @progbits
