/* From the boot loader to 64-bit C.
 *
 * Entered in 32-bit protected mode without paging, by Multiboot2 (anywhere: the image is
 * relocatable) or by Multiboot1 (at the link address). Everything up to the jump to the high half
 * is position independent: %ebp holds the physical address of image_start throughout. The tables
 * built here map the first 4 GiB one to one and the image at its link address, all writable and
 * executable; mem/hostmap.c replaces them. No memory outside the image is written, because the
 * loader's information block may lie anywhere (0x4000 under OVMF) and is not yet copied.
 *
 * SPDX-License-Identifier: MIT
 */
#define LINK_BASE 0x200000
#define IMAGE_VMA 0xffffffff80200000
/* Distance of a high symbol from the image's start. */
#define OFF(sym) ((sym) - IMAGE_VMA)

#define MB1_MAGIC 0x1badb002
#define MB1_BOOTED 0x2badb002
#define MB1_FLAGS 0x00010003 /* modules page aligned, memory map, flat address fields */
#define MB2_MAGIC 0xe85250d6
#define MB2_BOOTED 0x36d76289

#define CPUID_EXT_FEATURES 0x80000001
#define CPUID_LM (1 << 29)
#define CPUID_NX (1 << 20)
#define MSR_EFER 0xc0000080
#define EFER_LME (1 << 8)
#define EFER_NXE (1 << 11)
#define CR4_PAE (1 << 5)
#define CR0_BITS 0x80010033 /* PG WP NE ET MP PE */
#define PTE_TABLE 0x003
#define PTE_LARGE 0x083
#define EFLAGS_ID (1 << 21)

#define VGA_TEXT 0xb8000
#define COM1 0x3f8

	.section .boot, "ax"
	.code32
	.balign 8
image_start:
mb2_header:
	.long MB2_MAGIC, 0, mb2_end - mb2_header, -(MB2_MAGIC + (mb2_end - mb2_header))
	/* information request, optional: command line, modules, memory map, framebuffer,
	 * EFI64 system table, RSDP old and new, EFI memory map, load base */
	.balign 8
1:	.short 1, 1
	.long 2f - 1b
	.long 1, 3, 6, 8, 12, 14, 15, 17, 21
2:	/* relocatable: lowest, highest address, alignment, as high as possible */
	.balign 8
	.short 10, 0
	.long 24, LINK_BASE, 0xffffffff, 0x200000, 2
	/* EGA text is understood */
	.balign 8
	.short 4, 1
	.long 12, 2
	/* a linear framebuffer is understood, any size */
	.balign 8
	.short 5, 1
	.long 20, 0, 0, 0
	/* modules on page boundaries */
	.balign 8
	.short 6, 0
	.long 8
	.balign 8
	.short 0, 0
	.long 8
mb2_end:
	.balign 4
mb1_header:
	.long MB1_MAGIC, MB1_FLAGS, -(MB1_MAGIC + MB1_FLAGS)
	.long mb1_header, LINK_BASE, mb1_load_end, mb1_bss_end, boot_entry

	.globl boot_entry
boot_entry:
	cli
	cld
	movl %eax, %esi
	movl %ebx, %edi
	/* No stack yet: borrow the first word of the information block for one CALL. */
	movl (%ebx), %edx
	leal 4(%ebx), %esp
	call 1f
1:	popl %ebp
	movl %edx, (%ebx)
	subl $(1b - image_start), %ebp
	leal OFF(boot_stack_top)(%ebp), %esp

	leal (msg_loader - image_start)(%ebp), %ebx
	cmpl $MB2_BOOTED, %esi
	je 1f
	cmpl $MB1_BOOTED, %esi
	jne boot_fail
1:
	/* CPUID is there when EFLAGS.ID can be changed. */
	leal (msg_long - image_start)(%ebp), %ebx
	pushfl
	popl %eax
	movl %eax, %ecx
	xorl $EFLAGS_ID, %eax
	pushl %eax
	popfl
	pushfl
	popl %eax
	cmpl %eax, %ecx
	je boot_fail
	rdtsc
	movl %eax, OFF(boot_tsc)(%ebp)
	movl %edx, OFF(boot_tsc + 4)(%ebp)
	pushl %ebx
	movl $0x80000000, %eax
	cpuid
	popl %ebx
	cmpl $CPUID_EXT_FEATURES, %eax
	jb boot_fail
	pushl %ebx
	movl $CPUID_EXT_FEATURES, %eax
	cpuid
	popl %ebx
	testl $CPUID_LM, %edx
	jz boot_fail
	leal (msg_nx - image_start)(%ebp), %ebx
	testl $CPUID_NX, %edx
	jz boot_fail

	/* PML4: entry 0 and, for the image, entry 511. */
	leal (OFF(boot_tables) + 0x1000 + PTE_TABLE)(%ebp), %eax
	movl %eax, OFF(boot_tables)(%ebp)
	addl $0x1000, %eax
	movl %eax, (OFF(boot_tables) + 511 * 8)(%ebp)
	/* High PDPT, entry 510 (top 2 GiB), to the image's directory. */
	addl $0x1000, %eax
	movl %eax, (OFF(boot_tables) + 0x2000 + 510 * 8)(%ebp)
	/* Low PDPT to four directories of 512 large pages. */
	xorl %ecx, %ecx
1:	addl $0x1000, %eax
	movl %eax, (OFF(boot_tables) + 0x1000)(%ebp, %ecx, 8)
	incl %ecx
	cmpl $4, %ecx
	jb 1b
	movl $PTE_LARGE, %eax
	xorl %ecx, %ecx
1:	movl %eax, (OFF(boot_tables) + 0x4000)(%ebp, %ecx, 8)
	addl $0x200000, %eax
	incl %ecx
	cmpl $2048, %ecx
	jb 1b
	/* The image: directory entry 1 is IMAGE_VMA. */
	leal PTE_LARGE(%ebp), %eax
	xorl %ecx, %ecx
1:	movl %eax, (OFF(boot_tables) + 0x3000 + 8)(%ebp, %ecx, 8)
	addl $0x200000, %eax
	incl %ecx
	cmpl $image_large_pages, %ecx
	jb 1b

	/* CR4 is written whole: no LA57, whatever the loader left. */
	movl $CR4_PAE, %eax
	movl %eax, %cr4
	leal OFF(boot_tables)(%ebp), %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	rdmsr
	orl $(EFER_LME | EFER_NXE), %eax
	wrmsr
	movl $CR0_BITS, %eax
	movl %eax, %cr0

	leal (boot_gdt - image_start)(%ebp), %eax
	pushl %eax
	pushw $(boot_gdt_end - boot_gdt - 1)
	lgdtl (%esp)
	addl $6, %esp
	leal (boot_entry64 - image_start)(%ebp), %eax
	pushl $0x08
	pushl %eax
	lretl

	.code64
boot_entry64:
	movabsq $boot_high, %rax
	jmpq *%rax

	.code32
/* Print the reason at %ebx on COM1 and the text screen, and stop. */
boot_fail:
	movl $VGA_TEXT, %edi
	movw $(COM1 + 3), %dx
	movb $0x80, %al
	outb %al, %dx
	movw $COM1, %dx
	movb $1, %al
	outb %al, %dx
	incw %dx
	movb $0, %al
	outb %al, %dx
	movw $(COM1 + 3), %dx
	movb $3, %al
	outb %al, %dx
1:	movb (%ebx), %al
	testb %al, %al
	jz 4f
	cmpb $' ', %al
	jb 2f
	movb %al, (%edi)
	movb $0x1f, 1(%edi)
	addl $2, %edi
2:	movl $100000, %ecx
	movw $(COM1 + 5), %dx
3:	inb %dx, %al
	testb $0x20, %al
	loopz 3b
	movb (%ebx), %al
	movw $COM1, %dx
	outb %al, %dx
	incl %ebx
	jmp 1b
4:	hlt
	jmp 4b

msg_loader:
	.asciz "hv| Penumbra cannot run: it was not started by a Multiboot loader.\r\n"
msg_long:
	.asciz "hv| Penumbra cannot run: this CPU has no 64-bit (long) mode.\r\n"
msg_nx:
	.asciz "hv| Penumbra cannot run: execute-disable (NX) is missing or switched off in the firmware.\r\n"
	.balign 8
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff
boot_gdt_end:

	.text
	.code64
/* In the high half, in 64-bit mode: %esi loader's magic, %edi its block, %ebp load address. */
boot_high:
	movq $boot_stack_top, %rsp
	xorl %eax, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl %eax, %fs
	movl %eax, %gs
	movl %edi, %eax
	movl %esi, %edi
	movl %eax, %esi
	movl %ebp, %edx
	xorl %ebp, %ebp
	call firmware_start
1:	hlt
	jmp 1b

/* void boot_copy_and_switch(void *dst, const void *src, u64 len, u64 cr3)
 * Copy the running image and continue in the copy: nothing is pushed between the copy of the stack
 * and the switch, so the return address is found in the copy. */
	.globl boot_copy_and_switch
boot_copy_and_switch:
	movq %rcx, %rax
	movq %rdx, %rcx
	shrq $3, %rcx
	rep movsq
	movq %rax, %cr3
	ret

/* void boot_call_on_stack(void *stack_top, void (*fn)(void *), void *arg); does not return */
	.globl boot_call_on_stack
boot_call_on_stack:
	movq %rdi, %rsp
	xorl %ebp, %ebp
	movq %rdx, %rdi
	call *%rsi
1:	hlt
	jmp 1b

	.section .bss
	.balign 8
	.globl boot_tsc
boot_tsc:
	.skip 8
	.balign 16
	.skip 32768
boot_stack_top:

/* PML4, low PDPT, high PDPT, the image's directory, four directories of the first 4 GiB. */
	.section .boot_tables, "aw", @nobits
	.balign 4096
	.skip 8 * 4096
	.section .note.GNU-stack, "", @progbits
