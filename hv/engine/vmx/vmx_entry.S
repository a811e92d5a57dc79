/* World switch. SDM vol. 3 §25.1, §26.1, §28.5: entry and exit switch RIP, RSP, RFLAGS, segments, control
 * registers and some MSRs; the general registers are left to this file.
 *
 * Interrupts are off throughout: one that is pending ends the guest at once and stays pending.
 *
 * SPDX-License-Identifier: MIT
 */
#define VMCS_HOST_RSP_FIELD 0x6c14

	.section .text.vmx_enter, "ax", @progbits
	.globl vmx_enter
	.type vmx_enter, @function
/* Not a C function: %rdi = u64 gpr[16], %rsi = struct vmx_vcpu (host_rsp, launched). Returns the TSC at the
 * exit in %rax, and in %rbx 0 or, where the CPU refused VMLAUNCH or VMRESUME themselves, 1. Clobbers every
 * other register. */
vmx_enter:
	push	%rdi
	cmp	%rsp, (%rsi)
	jne	3f
1:	cmpq	$0, 8(%rsi)
	mov	0x00(%rdi), %rax
	mov	0x08(%rdi), %rcx
	mov	0x10(%rdi), %rdx
	mov	0x18(%rdi), %rbx
	mov	0x28(%rdi), %rbp
	mov	0x30(%rdi), %rsi
	mov	0x40(%rdi), %r8
	mov	0x48(%rdi), %r9
	mov	0x50(%rdi), %r10
	mov	0x58(%rdi), %r11
	mov	0x60(%rdi), %r12
	mov	0x68(%rdi), %r13
	mov	0x70(%rdi), %r14
	mov	0x78(%rdi), %r15
	mov	0x38(%rdi), %rdi
	je	2f
	vmresume
	jmp	4f
2:	vmlaunch
	jmp	4f
3:	mov	$VMCS_HOST_RSP_FIELD, %eax
	mov	%rsp, (%rsi)
	vmwrite	%rsp, %rax
	jmp	1b
4:	add	$8, %rsp		/* VMLAUNCH or VMRESUME failed: the registers are the guest's still */
	mov	$1, %ebx
	jmp	5f

	.globl vmx_exit_point
	.type vmx_exit_point, @function
vmx_exit_point:
	xchg	%rdi, (%rsp)
	mov	%rax, 0x00(%rdi)
	mov	%rcx, 0x08(%rdi)
	mov	%rdx, 0x10(%rdi)
	mov	%rbx, 0x18(%rdi)
	mov	%rbp, 0x28(%rdi)
	mov	%rsi, 0x30(%rdi)
	mov	%r8, 0x40(%rdi)
	mov	%r9, 0x48(%rdi)
	mov	%r10, 0x50(%rdi)
	mov	%r11, 0x58(%rdi)
	mov	%r12, 0x60(%rdi)
	mov	%r13, 0x68(%rdi)
	mov	%r14, 0x70(%rdi)
	mov	%r15, 0x78(%rdi)
	pop	0x38(%rdi)
	xor	%ebx, %ebx
5:	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	ret
	.size vmx_enter, . - vmx_enter
	.section .note.GNU-stack, "", @progbits
