/* void bulk_copy_avx(void *dst, const void *src, size_t n): see bulk.h.
 *
 * SPDX-License-Identifier: MIT
 */
#define STEP 1024 /* BULK_STEP */
#define YMM  32

	/* Four registers are enough: a CPU renames them, so no load waits for an older store. */
	.macro move4 at:req
	vmovdqu \at+0*YMM(%rsi,%rdx), %ymm0
	vmovdqu \at+1*YMM(%rsi,%rdx), %ymm1
	vmovdqu \at+2*YMM(%rsi,%rdx), %ymm2
	vmovdqu \at+3*YMM(%rsi,%rdx), %ymm3
	vmovdqu %ymm0, \at+0*YMM(%rdi,%rdx)
	vmovdqu %ymm1, \at+1*YMM(%rdi,%rdx)
	vmovdqu %ymm2, \at+2*YMM(%rdi,%rdx)
	vmovdqu %ymm3, \at+3*YMM(%rdi,%rdx)
	.endm

	.text
	.balign 16
	.globl bulk_copy_avx
	.type bulk_copy_avx, @function
bulk_copy_avx:
	sub $4*YMM, %rsp
	vmovdqu %ymm0, 0*YMM(%rsp)
	vmovdqu %ymm1, 1*YMM(%rsp)
	vmovdqu %ymm2, 2*YMM(%rsp)
	vmovdqu %ymm3, 3*YMM(%rsp)
	/* The index runs from -n to 0. */
	add %rdx, %rdi
	add %rdx, %rsi
	neg %rdx
	.balign 16
1:	.irp part, 0, 1, 2, 3, 4, 5, 6, 7
	move4 \part*4*YMM
	.endr
	add $STEP, %rdx
	jnz 1b
	vmovdqu 0*YMM(%rsp), %ymm0
	vmovdqu 1*YMM(%rsp), %ymm1
	vmovdqu 2*YMM(%rsp), %ymm2
	vmovdqu 3*YMM(%rsp), %ymm3
	add $4*YMM, %rsp
	ret
	.size bulk_copy_avx, . - bulk_copy_avx
	.section .note.GNU-stack, "", @progbits
