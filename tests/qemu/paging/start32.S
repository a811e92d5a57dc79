/* Entry of the 32-bit paging kernel: a BIOS leaves us at 7C00h in real mode; flat 32-bit protected
 * mode from here on, paging off.
 *
 * SPDX-License-Identifier: MIT
 */
#define CODE 0x08
#define DATA 0x10

	.section .start, "ax"
	.code16
	.globl _start
_start:
	cli
	cld
	xor	%ax, %ax
	mov	%ax, %ds
	in	$0x92, %al
	and	$0xfe, %al
	or	$2, %al
	out	%al, $0x92
	lgdtl	start_gdtr
	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	ljmpl	$CODE, $1f
	.code32
1:	mov	$DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$0x7c00, %esp
	mov	$bss_start, %edi
	mov	$bss_end, %ecx
	sub	%edi, %ecx
	xor	%eax, %eax
	rep stosb
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
