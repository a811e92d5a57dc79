/* Fonts and the video tables that point at them.
 *
 * SPDX-License-Identifier: MIT
 */
	.section .rom, "a", @progbits
	.globl	font8x8_high, font8x16, video_static, video_save_table
font8x8_high:
	.incbin	"font8x8.bin", 1024, 1024
font8x16:
	.incbin	"font8x16.bin"

/* INT 10h/1Bh: modes 0-3 and 7; 400 lines; one character block; no palette save. */
video_static:
	.byte	0x8f, 0, 0, 0, 0, 0, 0, 0x04, 2, 1, 0x04, 0, 0, 0, 0, 0

/* 40:A8: no parameter overrides. */
video_save_table:
	.long	0, 0, 0, 0, 0, 0, 0

	.section .note.GNU-stack, "", @progbits
