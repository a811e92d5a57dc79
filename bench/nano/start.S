/* Entry of the test kernels: a flat El Torito no-emulation image that any BIOS loads at 0x7c00 and
 * jumps to in real mode. It turns on A20, builds identity tables for the first 4 GiB and goes on
 * in 64-bit mode at kmain(), interrupts off.
 *
 * Memory: image 0x7c00-0x1ffff, BSS from 0x20000, stack below 0x70000, page tables 0x70000-0x75fff.
 *
 * SPDX-License-Identifier: MIT
 */
#include "lib/trap_stubs.h"

#define STACK_TOP 0x6fff0
#define PML4 0x70000
#define PDPT 0x71000
#define PD 0x72000
#define PD_COUNT 4

#define PTE_PW 0x3
#define PTE_LARGE 0x83
#define MSR_EFER 0xc0000080
#define EFER_LME_SCE 0x101
#define CR0_PG_WP_PE 0x80010001
#define CR4_PAE 0x20
#define CPUID_LM_BIT 29

#define SEL_CODE32 0x08
#define SEL_DATA 0x10
#define SEL_CODE64 0x18

	.section .start, "ax"
	.code16
	.globl _start
_start:
	cli
	cld
	ljmp $0, $1f
1:	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $0x7c00, %sp
	movw $0x2401, %ax	/* A20 by the BIOS, and by port 92h where that is not offered */
	int $0x15
	cli
	inb $0x92, %al
	andb $0xfe, %al		/* never touch the reset bit */
	orb $0x02, %al
	outb %al, $0x92
	lgdtl gdt_pointer
	movl %cr0, %eax
	orl $1, %eax
	movl %eax, %cr0
	ljmpl $SEL_CODE32, $protected

	.code32
protected:
	movw $SEL_DATA, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl $STACK_TOP, %esp
	movl $0x80000001, %eax
	cpuid
	btl $CPUID_LM_BIT, %edx
	jnc no_long_mode

	movl $PML4, %edi
	xorl %eax, %eax
	movl $((2 + PD_COUNT) * 1024), %ecx
	rep stosl
	movl $(PDPT | PTE_PW), PML4
	movl $PDPT, %edi
	movl $(PD | PTE_PW), %eax
1:	movl %eax, (%edi)
	addl $8, %edi
	addl $0x1000, %eax
	cmpl $((PD + PD_COUNT * 0x1000) | PTE_PW), %eax
	jne 1b
	movl $PD, %edi
	movl $PTE_LARGE, %eax
	movl $(PD_COUNT * 512), %ecx
2:	movl %eax, (%edi)
	addl $8, %edi
	addl $0x200000, %eax
	loop 2b

	movl $CR4_PAE, %eax
	movl %eax, %cr4
	movl $PML4, %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	rdmsr
	orl $EFER_LME_SCE, %eax
	wrmsr
	movl $CR0_PG_WP_PE, %eax
	movl %eax, %cr0
	ljmpl $SEL_CODE64, $long_mode

no_long_mode:
	movw $0x3f8, %dx
	movl $no_lm_text, %esi
1:	lodsb
	testb %al, %al
	jz 2f
	outb %al, %dx
	jmp 1b
2:	cli
	hlt
	jmp 2b

	.code64
long_mode:
	movw $SEL_DATA, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	xorl %eax, %eax
	movw %ax, %fs
	movw %ax, %gs
	movl $STACK_TOP, %esp
	movl $bss_start, %edi
	movl $bss_end, %ecx
	subl %edi, %ecx
	rep stosb
	call kmain
3:	cli
	hlt
	jmp 3b

	.balign 8
	.globl boot_gdt
boot_gdt:
	.quad 0
	.quad 0x00cf9b000000ffff	/* 08: 32-bit code */
	.quad 0x00cf93000000ffff	/* 10: data */
	.quad 0x00af9b000000ffff	/* 18: 64-bit code */
	.quad 0x00cf93000000ffff	/* 20: data, the SS that SYSCALL pairs with 18 */
gdt_end:
gdt_pointer:
	.word gdt_end - boot_gdt - 1
	.long boot_gdt
no_lm_text:
	.asciz "not ok this kernel needs a 64-bit CPU\r\n"

/* Interrupt entry. */
	.text
	TRAP_STUBS trap_handler

/* int guard(void (*fn)(void *arg), void *arg): run fn; -1, or the vector of the exception that ended
 * it. trap_handler() sends such an exception to guard_landing with the vector in RAX. */
	.globl guard
guard:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, guard_rsp
	movq %rdi, %rax
	movq %rsi, %rdi
	subq $8, %rsp
	call *%rax
	movl $-1, %eax
	.globl guard_landing
guard_landing:
	movq guard_rsp, %rsp
	movq $0, guard_rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	ret

	.bss
	.balign 8
	.globl guard_rsp
guard_rsp:
	.quad 0

	.section .note.GNU-stack, "", @progbits
