/* The BIOS data area at 40:0, with the offsets that programs rely on.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GUESTBIOS_BDA_H
#define GUESTBIOS_BDA_H

#include "penumbra/types.h"

/* BIOS data area, segment 40h. */
struct bda {
	u16 com[4], lpt[3], ebda_seg; /* 00 */
	u16 equip;		      /* 10 */
	u8 post_flag;
	u16 base_kb; /* 13 */
	u16 pad15;
	u8 kbd_flags0, kbd_flags1;				 /* 17 */
	u8 kbd_alt;						 /* 19 */
	u16 kbd_head, kbd_tail;					 /* 1a */
	u16 kbd_buf[16];					 /* 1e */
	u8 fd_recal, fd_motor, fd_timeout, fd_status, fd_ctl[7]; /* 3e */
	u8 video_mode;						 /* 49 */
	u16 columns, page_size, page_start;			 /* 4a */
	struct {
		u8 col, row;
	} cursor[8];	  /* 50 */
	u16 cursor_shape; /* 60 */
	u8 page;
	u16 crtc; /* 63 */
	u8 crt_mode, crt_palette;
	u32 reset_vector;			 /* 67 */
	u8 last_irq;				 /* 6b */
	u32 ticks;				 /* 6c */
	u8 midnight;				 /* 70 */
	u8 ctrl_break;				 /* 71 */
	u16 warm;				 /* 72 */
	u8 hd_status, hd_count, hd_ctl, hd_port; /* 74 */
	u8 lpt_timeout[4], com_timeout[4];	 /* 78 */
	u16 kbd_start, kbd_end;			 /* 80 */
	u8 rows_minus1;				 /* 84 */
	u16 char_height;
	u8 video_ctl, video_switches, video_flags, video_dcc; /* 87 */
	u8 pad8b[11];
	u8 kbd_mode;		/* 96: E0/E1 prefixes, 101-key keyboard */
	u8 kbd_led;		/* 97 */
	u16 wait_off, wait_seg; /* 98: user's wait flag */
	u32 wait_count;		/* 9c */
	u8 wait_active;		/* a0 */
	u8 pada1[7];
	u32 video_save; /* a8 */
} __attribute__((packed));
_Static_assert(offsetof(struct bda, equip) == 0x10, "BDA");
_Static_assert(offsetof(struct bda, kbd_buf) == 0x1e, "BDA");
_Static_assert(offsetof(struct bda, video_mode) == 0x49, "BDA");
_Static_assert(offsetof(struct bda, cursor_shape) == 0x60, "BDA");
_Static_assert(offsetof(struct bda, ticks) == 0x6c, "BDA");
_Static_assert(offsetof(struct bda, hd_status) == 0x74, "BDA");
_Static_assert(offsetof(struct bda, rows_minus1) == 0x84, "BDA");
_Static_assert(offsetof(struct bda, kbd_mode) == 0x96, "BDA");
_Static_assert(offsetof(struct bda, wait_active) == 0xa0, "BDA");
_Static_assert(offsetof(struct bda, video_save) == 0xa8, "BDA");

#endif
