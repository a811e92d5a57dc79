/* The accesses that may fault and the way back from them, for both images; SP, AX ... are the full
 * registers of either.
 *
 * SPDX-License-Identifier: MIT
 */
#ifdef __x86_64__
#define AX	%rax
#define BX	%rbx
#define CX	%rcx
#define SP	%rsp
#define BP	%rbp
#define SI	%rsi
#define DI	%rdi
#define IRET	iretq
#define WORD	8
#else
#define AX	%eax
#define BX	%ebx
#define CX	%ecx
#define SP	%esp
#define BP	%ebp
#define SI	%esi
#define DI	%edi
#define IRET	iret
#define WORD	4
#endif
#define KERNEL_SS	0x10
#define SCRATCH		0x3ff	/* COM1's */
#define USER_CS		0x1b
#define USER_SS		0x23

	.text
/* void run(void): what the run_ variables say. */
	.globl run
run:
	push	BX
	push	BP
	push	SI
	push	DI
#ifdef __x86_64__
	push	%r12
	push	%r13
	push	%r14
	push	%r15
#endif
	pushf
	mov	SP, run_kept
	mov	run_cx, CX
	mov	run_ax, AX
	cmpl	$0, run_at_cpl3
	jne	1f
	push	run_flags
	popf
	call	*run_code
	jmp	run_done
1:	push	$USER_SS
	push	run_sp
	push	run_flags
	push	$USER_CS
	push	run_code
	IRET

/* INT 80h, and the end of what ran at CPL 0. */
	.globl run_done
run_done:
	mov	AX, run_value
	movl	$0xff, run_vector
run_back:
	mov	run_kept, SP
	mov	$KERNEL_SS, %eax
	mov	%eax, %ss
	popf
#ifdef __x86_64__
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
#endif
	pop	DI
	pop	SI
	pop	BP
	pop	BX
	cld
	ret

/* INT 81h: its stack is the point. Not always at CPL 0. */
	.globl run_int81
run_int81:
	int	$0x80

.macro FAULT vector, has_error
	.globl fault_\vector
fault_\vector:
	.if \has_error
	pop	run_error
	.endif
	pop	run_ip
	movl	$\vector, run_vector
	mov	%cr2, AX
	mov	AX, run_cr2
	jmp	run_back
.endm
	FAULT 6, 0
	FAULT 8, 1
	FAULT 10, 1
	FAULT 11, 1
	FAULT 12, 1
	FAULT 13, 1
	FAULT 14, 1

	.globl kernel_read, kernel_write, kernel_fetch, kernel_int81, kernel_ud, kernel_cr3, kernel_load_es
kernel_read:
	mov	(CX), %eax
	ret
kernel_write:
	mov	%eax, (CX)
	ret
kernel_fetch:
	call	*CX
	ret
kernel_int81:
	int	$0x81
	ret
kernel_ud:
	ud2
kernel_cr3:
	mov	CX, %cr3
	ret
kernel_load_es:
	mov	%ecx, %es
	ret


/* Of these a hypervisor may have to do the access itself: ports, and devices in memory (at run_device). */
	.globl kernel_outs, kernel_ins, kernel_to_device, kernel_from_device
kernel_outs:
	mov	CX, SI
	mov	$SCRATCH, %edx
	outsb
	ret
kernel_ins:
	mov	CX, DI
	mov	$SCRATCH, %edx
	insb
	ret
kernel_to_device:
	mov	CX, SI
	mov	run_device, DI
	movsl
	ret
kernel_from_device:
	mov	CX, DI
	mov	run_device, SI
	movsl
	ret

/* Copied to a page of their own. */
	.globl user_stubs, user_stubs_end, user_read, user_write, user_fetch, user_int81, user_ud, user_outs, user_ins
user_stubs:
user_read:
	mov	(CX), %eax
	int	$0x80
user_write:
	mov	%eax, (CX)
	int	$0x80
user_fetch:
	call	*CX
	int	$0x80
user_int81:
	int	$0x81
	int	$0x80
user_ud:
	ud2
user_outs:
	mov	CX, SI
	mov	$SCRATCH, %edx
	outsb
	int	$0x80
user_ins:
	mov	CX, DI
	mov	$SCRATCH, %edx
	insb
	int	$0x80
user_stubs_end:

	.bss
	.balign WORD
	.globl run_cx, run_ax, run_code, run_sp, run_flags, run_at_cpl3, run_value, run_vector, run_error, run_ip, run_cr2, run_device
run_kept:	.skip WORD
run_cx:		.skip WORD
run_ax:		.skip WORD
run_code:	.skip WORD
run_sp:		.skip WORD
run_flags:	.skip WORD
run_value:	.skip WORD
run_error:	.skip WORD
run_ip:		.skip WORD
run_cr2:	.skip WORD
run_device:	.skip WORD
run_at_cpl3:	.skip 4
run_vector:	.skip 4
	.section .note.GNU-stack, "", @progbits
