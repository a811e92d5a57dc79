/* Entry of the 64-bit paging kernel: a BIOS leaves us at 7C00h in real mode; 64-bit mode with the
 * first 32 MiB mapped as they are from here on.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/qemu/enter32.h"

#define CODE32	0x08
#define DATA	0x10
#define CODE64	0x18
#define TABLES	0x70000	/* PML4, PDPT, PD */
#define PAGES	16	/* of 2 MiB */
/* In the kernel's own GDT (cpu64.c). */
#define OWN_CODE64 0x08
#define OWN_CODE32 0x48

	.section .start, "ax"
	.globl _start
_start:
	ENTER32 start_gdtr, CODE32, DATA
	mov	$TABLES, %edi
	mov	$(3 * 1024), %ecx
	rep stosl
	movl	$(TABLES + 0x1003), TABLES
	movl	$(TABLES + 0x2003), TABLES + 0x1000
	mov	$0x83, %eax
	xor	%ecx, %ecx
2:	mov	%eax, TABLES + 0x2000(, %ecx, 8)
	add	$0x200000, %eax
	inc	%ecx
	cmp	$PAGES, %ecx
	jne	2b
	mov	$TABLES, %eax
	mov	%eax, %cr3
	mov	%cr4, %eax
	or	$0x20, %eax
	mov	%eax, %cr4
	mov	$0xc0000080, %ecx
	rdmsr
	or	$0x100, %eax
	wrmsr
	mov	%cr0, %eax
	or	$0x80000000, %eax
	mov	%eax, %cr0
	ljmpl	$CODE64, $3f
	.code64
3:	call	main
4:	hlt
	jmp	4b

	.balign 8
start_gdt:
	.quad	0
	.quad	0x00cf9b000000ffff
	.quad	0x00cf93000000ffff
	.quad	0x00af9b000000ffff
start_gdtr:
	.word	31
	.long	start_gdt

	.text
/* u32 read_unpaged(ulong pa): out of long mode, and back. */
	.globl read_unpaged
read_unpaged:
	push	%rbx
	mov	$DATA, %eax
	mov	%eax, %ss
	push	$OWN_CODE32
	push	$1f
	lretq
	.code32
1:	mov	%cr0, %edx
	mov	%edx, %eax
	and	$0x7fffffff, %eax
	mov	%eax, %cr0
	jmp	2f
2:	mov	(%edi), %ebx
	mov	%edx, %cr0
	ljmpl	$OWN_CODE64, $3f
	.code64
3:	mov	%ebx, %eax
	pop	%rbx
	ret
	.section .note.GNU-stack, "", @progbits
