/* Assembler: from where a BIOS leaves a boot image (7C00h, real mode) to flat 32-bit protected mode
 * with the A20 line open, a stack below the image and an empty BSS (bss_start to bss_end).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_QEMU_ENTER32_H
#define TESTS_QEMU_ENTER32_H

/* clang-format off */
#ifdef __ASSEMBLER__
/* @gdtr: limit and base of a GDT with a flat code segment at selector @code and a data segment at @data. */
	.macro ENTER32 gdtr, code, data
	.code16
	cli
	cld
	xor	%ax, %ax
	mov	%ax, %ds
	in	$0x92, %al
	and	$0xfe, %al
	or	$2, %al
	out	%al, $0x92
	lgdtl	\gdtr
	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	ljmpl	$\code, $1f
	.code32
1:	mov	$\data, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$0x7c00, %esp
	mov	$bss_start, %edi
	mov	$bss_end, %ecx
	sub	%edi, %ecx
	xor	%eax, %eax
	rep stosb
	.endm
#endif
/* clang-format on */

#endif
