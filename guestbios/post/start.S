/* First instruction of POST: flat 32-bit, CS only; from ROM, so variables get RAM of their own first.
 *
 * SPDX-License-Identifier: MIT
 */
#include "layout.h"

	.code32
	.section .start, "ax", @progbits
	.globl	post_start
post_start:
	movw	$SEL_DATA32, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %fs
	movw	%ax, %gs
	movw	%ax, %ss
	movl	$POST_STACK_TOP, %esp
	cld
	movl	$post_bss, %edi
	movl	$post_bss_end, %ecx
	subl	%edi, %ecx
	xorl	%eax, %eax
	rep stosb
	call	post_main

	/* Back to 16 bits: limits as real mode has them, then rom/entry.S. */
	movw	$SEL_DATA16, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %fs
	movw	%ax, %gs
	movw	%ax, %ss
	ljmp	$SEL_CODE16, $post_done

	.section .note.GNU-stack, "", @progbits
