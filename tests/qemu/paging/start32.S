/* Entry of the 32-bit paging kernel: a BIOS leaves us at 7C00h in real mode; flat 32-bit protected
 * mode from here on, paging off.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/qemu/enter32.h"

#define CODE 0x08
#define DATA 0x10

	.section .start, "ax"
	.globl _start
_start:
	ENTER32 start_gdtr, CODE, DATA
	call	main
2:	hlt
	jmp	2b

	.balign 8
start_gdt:
	.quad	0
	.quad	0x00cf9b000000ffff
	.quad	0x00cf93000000ffff
start_gdtr:
	.word	23
	.long	start_gdt

	.text
/* u32 read_unpaged(ulong pa): the argument is in EAX. */
	.globl read_unpaged
read_unpaged:
	mov	%eax, %ecx
	mov	%cr0, %edx
	mov	%edx, %eax
	and	$0x7fffffff, %eax
	mov	%eax, %cr0
	jmp	1f
1:	mov	(%ecx), %eax
	mov	%edx, %cr0
	jmp	1f
1:	ret
	.section .note.GNU-stack, "", @progbits
