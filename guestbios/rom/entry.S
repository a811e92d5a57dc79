/* Reset vector, interrupt entry, and the addresses where old software looks.
 *
 * A caller's stack may be a few dozen bytes (boot sectors), so an entry pushes 10 bytes there and moves
 * to the BIOS's own stack in the EBDA, where it builds struct regs (bios16.h). int_stack says where
 * that stack is free: while a handler lets other interrupts run it lowers int_stack below itself.
 *
 * SPDX-License-Identifier: MIT
 */
#include "layout.h"

	.code16

/* struct regs */
#define F_EDI 0
#define F_ESI 4
#define F_EBP 8
#define F_EBX 12
#define F_EDX 16
#define F_ECX 20
#define F_EAX 24
#define F_DS 28
#define F_ES 30
#define F_FS 32
#define F_GS 34
#define F_HANDLER 36
#define F_IP 38
#define F_CS 40
#define F_FLAGS 42
#define F_ESP 44
#define F_SS 48
#define F_OLDSTACK 52
#define F_SIZE 56

/* What the caller's stack holds at int_entry, after our two pushes. */
#define C_EBX 0
#define C_EAX 4
#define C_DS 8
#define C_HANDLER 10
#define C_IP 12
#define C_CS 14
#define C_FLAGS 16

	.bss
	.globl int_stack
	.balign 4
int_stack:
	.skip 4

	.text
/* On entry: handler's address, IP, CS, FLAGS on the stack; all registers the caller's. */
int_entry:
	pushw	%ds
	pushl	%eax
	pushl	%ebx
	cld
	movw	$EBDA_SEG, %ax
	movw	%ax, %ds
	movw	%ss, %bx
	cmpw	%ax, %bx
	movl	%esp, %eax
	je	1f
	pushw	%ds
	popw	%ss
	movl	int_stack, %esp
1:	subl	$F_SIZE, %esp
	movl	%eax, F_ESP(%esp)
	movw	%bx, F_SS(%esp)
	movl	%ecx, F_ECX(%esp)
	movl	%edx, F_EDX(%esp)
	movl	%esi, F_ESI(%esp)
	movl	%edi, F_EDI(%esp)
	movl	%ebp, F_EBP(%esp)
	movw	%es, F_ES(%esp)
	movw	%fs, F_FS(%esp)
	movw	%gs, F_GS(%esp)
	movl	int_stack, %ecx
	movl	%ecx, F_OLDSTACK(%esp)
	movw	%bx, %es
	movzwl	%ax, %ebx
	movl	%es:C_EBX(%ebx), %eax
	movl	%eax, F_EBX(%esp)
	movl	%es:C_EAX(%ebx), %eax
	movl	%eax, F_EAX(%esp)
	movl	%es:C_DS(%ebx), %eax
	movw	%ax, F_DS(%esp)
	shrl	$16, %eax
	movw	%ax, F_HANDLER(%esp)
	movl	%eax, %ecx
	movl	%es:C_IP(%ebx), %eax
	movl	%eax, F_IP(%esp)
	movw	%es:C_FLAGS(%ebx), %ax
	movw	%ax, F_FLAGS(%esp)
	pushw	%ds
	popw	%es
	movw	$BDA_SEG, %ax
	movw	%ax, %fs
	movl	%esp, %eax
	movl	%esp, %ebp
	andl	$-4, %esp
	calll	*%ecx

	/* Write back what the handler changed; int_stack is as it was at entry. */
	movl	%ebp, %esp
	movl	F_OLDSTACK(%esp), %eax
	movl	%eax, int_stack
	movw	F_SS(%esp), %es
	movzwl	F_ESP(%esp), %ebx
	movl	F_EBX(%esp), %eax
	movl	%eax, %es:C_EBX(%ebx)
	movl	F_EAX(%esp), %eax
	movl	%eax, %es:C_EAX(%ebx)
	movw	F_DS(%esp), %ax
	movw	%ax, %es:C_DS(%ebx)
	movw	F_FLAGS(%esp), %ax
	movw	%ax, %es:C_FLAGS(%ebx)
	movl	F_ECX(%esp), %ecx
	movl	F_EDX(%esp), %edx
	movl	F_ESI(%esp), %esi
	movl	F_EDI(%esp), %edi
	movl	F_EBP(%esp), %ebp
	movw	F_ES(%esp), %es
	movw	F_FS(%esp), %fs
	movw	F_GS(%esp), %gs
	movw	F_SS(%esp), %bx
	movl	F_ESP(%esp), %eax
	movw	%bx, %ss
	movl	%eax, %esp
	popl	%ebx
	popl	%eax
	popw	%ds
	addw	$2, %sp
	iretw

.macro ENTRY name, handler
	.globl	\name
\name:	pushw	$\handler
	jmp	int_entry
.endm

	ENTRY	entry_exc00, exception_00
	ENTRY	entry_exc06, exception_06
	ENTRY	entry_05, int05
	ENTRY	entry_09, int09
	ENTRY	entry_10, int10
	ENTRY	entry_11, int11
	ENTRY	entry_12, int12
	ENTRY	entry_13, int13
	ENTRY	entry_14, int14
	ENTRY	entry_15, int15
	ENTRY	entry_16, int16
	ENTRY	entry_17, int17
	ENTRY	entry_1a, int1a
	ENTRY	entry_40, int40
	ENTRY	entry_70, int70
	ENTRY	entry_74, int74
	ENTRY	entry_tick, text_sync_handler

/* INT 02h: nothing on this board raises NMI. */
	.globl	entry_iret
/* The tick. One EOI is its only port access, unless screen text has waited for two ticks. */
	.globl	entry_08
entry_08:
	pushw	%ds
	pushw	%ax
	movw	$BDA_SEG, %ax
	movw	%ax, %ds
	incl	0x6c
	cmpl	$0x1800b0, 0x6c
	jb	1f
	movl	$0, 0x6c
	movb	$1, 0x70
1:	movw	$EBDA_SEG, %ax
	movw	%ax, %ds
	cmpb	$0, text_pending
	je	2f
	decb	text_pending
	jnz	2f
	pushfw
	pushw	%cs
	callw	entry_tick
2:	int	$0x1c
	cli
	movb	$0x20, %al
	outb	%al, $0x20
	popw	%ax
	popw	%ds
	iretw

/* Interrupts that nothing serves. */
	.globl	entry_irq_slave, entry_irq_master
entry_irq_slave:
	pushw	%ax
	movb	$0x20, %al
	outb	%al, $0xa0
	jmp	1f
entry_irq_master:
	pushw	%ax
	movb	$0x20, %al
1:	outb	%al, $0x20
	popw	%ax
	iretw

/* IDE interrupts belong to whoever enabled them; note the event where AT BIOSes do. */
	.globl	entry_76
entry_76:
	pushw	%ds
	pushw	$BDA_SEG
	popw	%ds
	movb	$0xff, 0x8e
	popw	%ds
	jmp	entry_irq_slave

	.globl	irq_window_wait, irq_window, call_int
irq_window_wait:
	pushl	int_stack
	leal	-16(%esp), %eax
	movl	%eax, int_stack
	sti
	hlt
	cli
	popl	int_stack
	retl
irq_window:
	pushl	int_stack
	leal	-16(%esp), %eax
	movl	%eax, int_stack
	sti
	nop
	cli
	popl	int_stack
	retl

/* void call_int(u8 vector, u16 *ax, bool *cf) */
call_int:
	pushl	%ebx
	pushl	%esi
	pushl	%edi
	pushl	%ebp
	movzbl	%al, %ebx
	shll	$2, %ebx
	movl	%edx, %esi
	movl	%ecx, %edi
	pushl	int_stack
	leal	-16(%esp), %eax
	movl	%eax, int_stack
	xorw	%ax, %ax
	movw	%ax, %gs
	movw	(%esi), %ax
	cmpb	$1, (%edi)
	cmc
	pushfw
	lcallw	*%gs:(%ebx)
	cli
	cld
	pushw	$EBDA_SEG
	popw	%ds
	pushw	$EBDA_SEG
	popw	%es
	pushw	$BDA_SEG
	popw	%fs
	setc	(%edi)
	movw	%ax, (%esi)
	popl	int_stack
	popl	%ebp
	popl	%edi
	popl	%esi
	popl	%ebx
	retl

/* One function: EDI and ESI from two of its register arguments, the count from the stack; the segment
 * argument into one of DS and ES meanwhile, both of which are the EBDA otherwise. */
	.macro FAR_COPY name, dst, src, seg, far, near
	.globl	\name
\name:
	pushl	%esi
	pushl	%edi
	movl	\dst, %edi
	movl	\src, %esi
	movl	12(%esp), %ecx
	movw	\seg, \far
	rep movsb %ds:(%esi), %es:(%edi)
	pushw	\near
	popw	\far
	popl	%edi
	popl	%esi
	retl
	.endm
/* void far_read(void *dst, u16 seg, u32 off, u32 n): n on the stack */
	FAR_COPY far_read, %eax, %ecx, %dx, %ds, %es
/* void far_write(u16 seg, u32 off, const void *src, u32 n): n on the stack */
	FAR_COPY far_write, %edx, %ecx, %ax, %es, %ds

/* --- reset --------------------------------------------------------------------------------- */
/* Shutdown status 5 and 0Ah in CMOS 0Fh: a program left protected mode by a reset and wants to go on
 * at 40:67 (5 with an EOI). Anything else is a real reset. */
reset_start:
	cli
	cld
	movb	$0x8f, %al
	outb	%al, $0x70
	inb	$0x71, %al
	movb	%al, %bl
	testb	%al, %al
	je	1f
	movb	$0x8f, %al
	outb	%al, $0x70
	xorw	%ax, %ax
	outb	%al, $0x71
	cmpb	$5, %bl
	je	2f
	cmpb	$0x0a, %bl
	je	3f
1:	lgdtl	%cs:gdt_pointer
	movl	%cr0, %eax
	andl	$0x1fffffff, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$SEL_CODE32, $0xe0000
2:	movb	$0x20, %al
	outb	%al, $0xa0
	outb	%al, $0x20
3:	pushw	$BDA_SEG
	popw	%ds
	ljmpw	*0x67

/* POST is done: it jumps here through SEL_CODE16, with the data selectors of 64 KiB limit loaded. */
	.globl	post_done
post_done:
	movl	%cr0, %eax
	andb	$0xfe, %al
	movl	%eax, %cr0
	ljmpw	$ROM_SEG, $1f
1:	lidtl	%cs:ivt_pointer
	movw	$EBDA_SEG, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$EBDA_STACK_TOP, %esp
	movl	$EBDA_STACK_TOP, int_stack
	movw	$BDA_SEG, %ax
	movw	%ax, %fs
	calll	boot_first
/* INT 19h starts the boot order again, INT 18h goes on with the next device; neither returns. */
	.globl	entry_19, entry_18
entry_19:
	movl	$boot_first, %ecx
	jmp	1f
entry_18:
	movl	$boot_next, %ecx
1:	cli
	cld
	movw	$EBDA_SEG, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$EBDA_STACK_TOP, %esp
	movl	$EBDA_STACK_TOP, int_stack
	movw	$BDA_SEG, %ax
	movw	%ax, %fs
	calll	*%ecx
4:	hlt
	jmp	4b

/* void boot_jump(u32 seg_off, u8 drive): enter a boot sector as PC BIOSes do. */
	.globl	boot_jump
boot_jump:
	movzbl	%dl, %edx
	movl	%eax, %ecx
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %fs
	movw	%ax, %gs
	movw	%ax, %ss
	movl	$0x7c00, %esp
	pushw	$0x0202
	pushl	%ecx
	xorl	%ebx, %ebx
	xorl	%ecx, %ecx
	xorl	%esi, %esi
	xorl	%edi, %edi
	xorl	%ebp, %ebp
	movl	$0xaa55, %eax
	iretw

/* INT 15h/87h. void copy_flat(u32 dst, u32 src, u32 bytes): physical addresses, bytes a multiple of 2.
 * Leaves DS and ES with 4 GiB limits: programs in "unreal" mode keep them, others cannot tell. */
	.globl	copy_flat
copy_flat:
	pushl	%esi
	pushl	%edi
	pushw	%es
	pushw	%ds
	movl	%eax, %edi
	movl	%edx, %esi
	subl	$8, %esp
	sgdtl	(%esp)
	lgdtl	%cs:gdt_pointer
	movl	%cr0, %eax
	movl	%eax, %edx
	orb	$1, %al
	movl	%eax, %cr0
	jmp	1f
1:	movw	$SEL_DATA32, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movl	%ecx, %eax
	shrl	$2, %ecx
	rep movsl %ds:(%esi), %es:(%edi)
	movl	%eax, %ecx
	andl	$3, %ecx
	rep movsb %ds:(%esi), %es:(%edi)
	movl	%edx, %cr0
	jmp	2f
2:	movw	$EBDA_SEG, %ax
	movw	%ax, %ds
	movw	%ax, %es
	lgdtl	(%esp)
	addl	$8, %esp
	popw	%ds
	popw	%es
	popl	%edi
	popl	%esi
	retl

/* --- tables -------------------------------------------------------------------------------- */
	.section .rom, "a", @progbits
	.balign	8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff	/* flat code */
	.quad	0x00cf93000000ffff	/* flat data */
	.quad	0x00009b0f0000ffff	/* 16-bit code at F0000 */
	.quad	0x000093000000ffff	/* 16-bit data at 0 */
gdt_end:
	.balign	4
	.word	0
gdt_pointer:
	.word	gdt_end - gdt - 1
	.long	0xf0000 + gdt
	.word	0
ivt_pointer:
	.word	0x3ff
	.long	0

/* BIOS32 service directory; the image builder puts in the checksum. */
	.balign	16
	.globl	bios32_header
bios32_header:
	.ascii	"_32_"
	.long	0xf0000 + bios32_entry
	.byte	0, 1, 0
	.fill	5, 1, 0

/* SMBIOS entry point: the structure table has a fixed place and length. */
	.balign	16
	.globl	smbios_header
smbios_header:
	.ascii	"_SM_"
	.byte	0, 0x1f, 2, 8
	.word	0x100
	.byte	0
	.fill	5, 1, 0
	.ascii	"_DMI_"
	.byte	0
	.word	EBDA_SMBIOS_LEN
	.long	EBDA_PHYS + EBDA_SMBIOS
	.word	SMBIOS_COUNT
	.byte	0x28

/* $PIR: devices 1 to 31 of bus 0; INTA of device d is PIRQ (d + 0) & 3, and so on round. */
	.balign	16
	.globl	pir_header, pir_slots, pir_slots_end
pir_header:
	.ascii	"$PIR"
	.word	0x0100, pir_slots_end - pir_header
	.byte	0, 1 << 3	/* router 00:01.0 */
	.word	0x0c00		/* IRQs for PCI alone: 10, 11 */
	.long	0x70008086
	.long	0
	.fill	11, 1, 0
	.byte	0
pir_slots:
.macro PIR_SLOT dev
	.byte	0, \dev << 3
	.byte	0x60 + ((\dev + 0) & 3)
	.word	0x0c00
	.byte	0x60 + ((\dev + 1) & 3)
	.word	0x0c00
	.byte	0x60 + ((\dev + 2) & 3)
	.word	0x0c00
	.byte	0x60 + ((\dev + 3) & 3)
	.word	0x0c00
	.byte	0, 0
.endm
	.set	dev_, 1
	.rept	31
	PIR_SLOT dev_
	.set	dev_, dev_ + 1
	.endr
pir_slots_end:

/* --- fixed addresses ----------------------------------------------------------------------- */
	.section .fixed, "ax", @progbits
.macro AT offset
	.org	\offset - 0xe05b
.endm
	AT	0xe05b
	jmp	reset_start
	.ascii	"Penumbra guest BIOS"
	AT	0xe2c3
	iretw
	AT	0xe3fe
	jmp	entry_13
	AT	0xe6f2
	jmp	entry_19
/* INT 15h/C0h: model FC, submodel 1; second PIC, RTC, INT 15h/4Fh called, EBDA allocated. */
	AT	0xe6f5
	.globl	config_table
config_table:
	.word	8
	.byte	0xfc, 1, 0, 0x74, 0x40, 0, 0, 0
	AT	0xe729
	.word	0x0417, 0x0300, 0x0180, 0x00c0, 0x0060, 0x0030, 0x0018, 0x000c
	AT	0xe739
	jmp	entry_14
	AT	0xe82e
	jmp	entry_16
	AT	0xe987
	jmp	entry_09
	AT	0xec59
	jmp	entry_40
	AT	0xef57
	jmp	entry_irq_master
/* INT 1Eh: 1.44 MB diskette. */
	AT	0xefc7
	.globl	diskette_table
diskette_table:
	.byte	0xaf, 0x02, 0x25, 0x02, 0x12, 0x1b, 0xff, 0x6c, 0xf6, 0x0f, 0x08
	AT	0xefd2
	jmp	entry_17
	AT	0xf045
	iretw
	AT	0xf065
	jmp	entry_10
/* INT 1Dh: CRTC values for 40x25, 80x25, graphics and monochrome; then page sizes, columns, modes. */
	AT	0xf0a4
	.globl	video_table
video_table:
	.byte	0x38, 0x28, 0x2d, 0x0a, 0x1f, 0x06, 0x19, 0x1c, 0x02, 0x07, 0x06, 0x07, 0, 0, 0, 0
	.byte	0x71, 0x50, 0x5a, 0x0a, 0x1f, 0x06, 0x19, 0x1c, 0x02, 0x07, 0x06, 0x07, 0, 0, 0, 0
	.byte	0x38, 0x28, 0x2d, 0x0a, 0x7f, 0x06, 0x64, 0x70, 0x02, 0x01, 0x06, 0x07, 0, 0, 0, 0
	.byte	0x61, 0x50, 0x52, 0x0f, 0x19, 0x06, 0x19, 0x19, 0x02, 0x0d, 0x0b, 0x0c, 0, 0, 0, 0
	.word	2048, 4096, 16384, 16384
	.byte	40, 40, 80, 80, 40, 40, 80, 80
	.byte	0x2c, 0x28, 0x2d, 0x29, 0x2a, 0x2e, 0x1e, 0x29
	AT	0xf841
	jmp	entry_12
	AT	0xf84d
	jmp	entry_11
	AT	0xf859
	jmp	entry_15
	AT	0xfa6e
	.globl	font8x8_low
font8x8_low:
	.incbin	"font8x8.bin", 0, 1024
	AT	0xfe6e
	jmp	entry_1a
	AT	0xfea5
	jmp	entry_08
/* Offsets for vectors 08h to 1Fh, where the AT has them. POST fills the IVT from this and post/ivt.c. */
	AT	0xfef3
	.globl	vector_offsets
vector_offsets:
	.word	entry_08, entry_09, entry_irq_master, entry_irq_master
	.word	entry_irq_master, entry_irq_master, entry_irq_master, entry_irq_master
	.word	entry_10, entry_11, entry_12, entry_13, entry_14, entry_15, entry_16, entry_17
	.word	entry_18, entry_19, entry_1a, entry_iret, entry_iret
	.word	video_table, diskette_table, 0
	AT	0xff53
entry_iret:
	iretw
	AT	0xff54
	jmp	entry_05
	AT	0xfff0
	.globl	reset_vector
reset_vector:
	ljmpw	$ROM_SEG, $0xe05b
	AT	0xfff5
	.ascii	"01/01/24"
	.byte	0
	AT	0xfffe
	.byte	0xfc, 0
	AT	0x10000

	.section .note.GNU-stack, "", @progbits
