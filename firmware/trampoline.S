/* An application processor's way from real mode to its own stack in the high half.
 *
 * Copied to a page below 1 MiB and entered there with CS = page >> 4, IP = 0. Reads its operands
 * from the data at its end (struct trampoline_data in smp.c); the page is mapped read-only and
 * one to one while paging is switched on.
 *
 * SPDX-License-Identifier: MIT
 */
#define CR0_PROTECTED 0x00000011
#define CR0_PAGED 0x80010033
#define CR4_PAE 0x20
#define MSR_EFER 0xc0000080
#define EFER_LME_NXE 0x900

#define D_FAR32 0
#define D_GDT 6
#define D_FAR64 12
#define D_CR3 20
#define D_STACK 24
#define D_ENTRY 32
#define D_ARG 40

	.section .rodata.trampoline, "a"
	.balign 16
	.globl trampoline_start, trampoline_end, trampoline_data, trampoline_gdt
	.globl trampoline_code32, trampoline_code64
	.code16
trampoline_start:
	cli
	cld
	movw %cs, %ax
	movw %ax, %ds
	movzwl %ax, %ebx
	shll $4, %ebx /* the page's physical address */
	lgdtl (trampoline_data - trampoline_start + D_GDT)
	movl $CR0_PROTECTED, %eax
	movl %eax, %cr0
	ljmpl *(trampoline_data - trampoline_start + D_FAR32)

	.code32
trampoline_code32:
	movl $0x18, %eax
	movl %eax, %ds
	movl %eax, %ss
	leal (trampoline_data - trampoline_start)(%ebx), %ebx
	movl $CR4_PAE, %eax
	movl %eax, %cr4
	movl D_CR3(%ebx), %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	rdmsr
	orl $EFER_LME_NXE, %eax
	wrmsr
	movl $CR0_PAGED, %eax
	movl %eax, %cr0
	ljmpl *D_FAR64(%ebx)

	.code64
trampoline_code64:
	movl %ebx, %ebx
	xorl %eax, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl %eax, %fs
	movl %eax, %gs
	movq D_STACK(%rbx), %rsp
	movq D_ARG(%rbx), %rdi
	movq D_ENTRY(%rbx), %rax
	xorl %ebp, %ebp
	pushq %rbp
	jmpq *%rax

	.balign 8
trampoline_gdt:
	.quad 0
	.quad 0x00cf9b000000ffff /* 0x08: 32-bit code */
	.quad 0x00af9b000000ffff /* 0x10: 64-bit code */
	.quad 0x00cf93000000ffff /* 0x18: data */
trampoline_gdt_end:
	.balign 8
trampoline_data:
	.long 0
	.word 0x08
	.word trampoline_gdt_end - trampoline_gdt - 1
	.long 0
	.long 0
	.word 0x10
	.word 0
	.long 0
	.quad 0, 0, 0
trampoline_end:
	.section .note.GNU-stack, "", @progbits
