/* Entry of the task-switch kernel: a BIOS leaves us at 7C00h in real mode; 32-bit protected mode with flat segments from
 * here on. Stubs that C cannot express.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/qemu/enter32.h"

#define CODE 0x08
#define DATA 0x10

	.section .start, "ax"
	.globl _start
_start:
	ENTER32 gdtr, CODE, DATA
	mov	$DATA, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	call	main
2:	hlt
	jmp	2b

gdtr:	.word	8 * 24 - 1
	.long	gdt

	.text
/* int caught(void (*deed)(u32), u32 arg): run the deed; 0, or vector << 16 | 1 of the fault that it made, with its error
 * code in fault_error. A fault comes back behind the deed, whatever it left on the stack. */
	.globl caught
caught:
	push	%ebx
	push	%esi
	push	%edi
	push	%ebp
	mov	%esp, caught_esp
	pushl	24(%esp)
	call	*24(%esp)
	xor	%eax, %eax
	jmp	1f
	.globl caught_back
caught_back:
	mov	fault_vector, %eax
	shl	$16, %eax
	or	$1, %eax
1:	mov	caught_esp, %esp
	pop	%ebp
	pop	%edi
	pop	%esi
	pop	%ebx
	ret

.macro FAULT vector, has_error
	.globl fault_\vector
fault_\vector:
	.if \has_error
	pop	fault_error
	.else
	movl	$0, fault_error
	.endif
	movl	$\vector, fault_vector
	pop	fault_eip
	jmp	caught_back
.endm
	FAULT 1, 0
	FAULT 10, 1
	FAULT 11, 1
	FAULT 12, 1
	FAULT 13, 1
	FAULT 14, 1

/* Real-mode code of the virtual-8086 task: HLT is for nobody there. */
	.globl vm86_code, vm86_end
vm86_code:
	.byte	0xf4
vm86_end:

	.bss
	.globl fault_error, fault_vector, fault_eip
caught_esp:	.long 0
fault_error:	.long 0
fault_vector:	.long 0
fault_eip:	.long 0
	.section .note.GNU-stack, "", @progbits
