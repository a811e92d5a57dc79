/* The 32-bit entries: the BIOS32 service directory and the PCI BIOS. Callers come by far call with CS
 * covering F0000-FFFFF at any linear address, DS covering at least that, and any flat or based SS.
 *
 * SPDX-License-Identifier: MIT
 */
#include "layout.h"

	.code32
	.text
/* EAX: service, EBX: 0. Returns AL = status, EBX = base, ECX = length, EDX = entry's offset. */
	.globl	bios32_entry
bios32_entry:
	pushfl
	testb	%bl, %bl
	jne	2f
	cmpl	$0x49435024, %eax	/* "$PCI" */
	jne	1f
	movl	$0xf0000, %ebx
	movl	$0x10000, %ecx
	movl	$pcibios32_entry, %edx
	xorb	%al, %al
	popfl
	lretl
1:	movb	$0x80, %al
	popfl
	lretl
2:	movb	$0x81, %al
	popfl
	lretl

/* AX = B1xxh as INT 1Ah. The C code works on struct pci_call, so DS must see the stack. */
	.globl	pcibios32_entry
pcibios32_entry:
	pushfl
	cld
	pushl	%ds
	pushl	%es
	pushl	$0
	pushl	%esi
	pushl	%edi
	pushl	%edx
	pushl	%ecx
	pushl	%ebx
	pushl	%eax
	pushl	%ss
	popl	%ds
	pushl	%ss
	popl	%es
	movl	%esp, %eax
	call	pci_bios_call32
	popl	%eax
	popl	%ebx
	popl	%ecx
	popl	%edx
	popl	%edi
	popl	%esi
	btrl	$0, (%esp)	/* CF := cf */
	leal	4(%esp), %esp
	popl	%es
	popl	%ds
	jc	1f
	popfl
	clc
	lretl
1:	popfl
	stc
	lretl

	.section .note.GNU-stack, "", @progbits
