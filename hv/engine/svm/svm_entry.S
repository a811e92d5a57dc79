/* World switch. APM vol. 2 §15.5: VMRUN saves and restores only part of the state; VMLOAD and VMSAVE move
 * FS, GS, TR, LDTR and the system-call MSRs, here on both sides.
 *
 * GIF stays clear from before the guest's registers are loaded until the host's are back, so no
 * interrupt can see a mixture. STI stands early: its one-instruction shadow must not reach VMRUN, or a
 * CPU that carries it into the guest would report it as the guest's own.
 *
 * SPDX-License-Identifier: MIT
 */
	.section .text.svm_enter, "ax", @progbits
	.globl svm_enter
	.type svm_enter, @function
/* Not a C function: %rdi = guest VMCB, %rsi = u64 gpr[16], %rdx = host VMCB (physical addresses). Returns
 * the TSC at the exit in %rax and clobbers every other register. */
svm_enter:
	push	%rdx
	push	%rsi
	clgi
	sti
	mov	%rdi, %rax
	vmload	%rax
	mov	0x08(%rsi), %rcx
	mov	0x10(%rsi), %rdx
	mov	0x18(%rsi), %rbx
	mov	0x28(%rsi), %rbp
	mov	0x38(%rsi), %rdi
	mov	0x40(%rsi), %r8
	mov	0x48(%rsi), %r9
	mov	0x50(%rsi), %r10
	mov	0x58(%rsi), %r11
	mov	0x60(%rsi), %r12
	mov	0x68(%rsi), %r13
	mov	0x70(%rsi), %r14
	mov	0x78(%rsi), %r15
	mov	0x30(%rsi), %rsi
	vmrun	%rax
	vmsave	%rax
	xchg	%rsi, (%rsp)
	mov	%rcx, 0x08(%rsi)
	mov	%rdx, 0x10(%rsi)
	mov	%rbx, 0x18(%rsi)
	mov	%rbp, 0x28(%rsi)
	mov	%rdi, 0x38(%rsi)
	mov	%r8, 0x40(%rsi)
	mov	%r9, 0x48(%rsi)
	mov	%r10, 0x50(%rsi)
	mov	%r11, 0x58(%rsi)
	mov	%r12, 0x60(%rsi)
	mov	%r13, 0x68(%rsi)
	mov	%r14, 0x70(%rsi)
	mov	%r15, 0x78(%rsi)
	pop	0x30(%rsi)		/* guest RSI */
	pop	%rax			/* host VMCB */
	vmload	%rax
	cli
	stgi
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	ret
	.size svm_enter, . - svm_enter
	.section .note.GNU-stack, "", @progbits
