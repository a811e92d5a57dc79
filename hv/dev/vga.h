/* VGA in text mode: registers and the reading of the text page.
 *
 * The guest writes characters straight into 32 KiB of RAM at B8000h; the hypervisor never sees
 * that. This chip keeps the registers (ports 3B0-3DF) and can turn the page into lines of ASCII as
 * the CRTC would show them, for the serial line.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_VGA_H
#define HV_DEV_VGA_H

#include "dev/dev.h"

#define VGA_PORT_BASE	  0x3b0
#define VGA_PORT_LEN	  0x30
#define VGA_CRTC_MONO	  0x3b4
#define VGA_STATUS1_MONO  0x3ba
#define VGA_ATTR	  0x3c0
#define VGA_ATTR_READ	  0x3c1
#define VGA_MISC_WRITE	  0x3c2 /* read: input status 0 */
#define VGA_ENABLE	  0x3c3
#define VGA_SEQ		  0x3c4
#define VGA_DAC_MASK	  0x3c6
#define VGA_DAC_READ	  0x3c7 /* write: read index; read: state */
#define VGA_DAC_WRITE	  0x3c8
#define VGA_DAC_DATA	  0x3c9
#define VGA_FEATURE_READ  0x3ca
#define VGA_MISC_READ	  0x3cc
#define VGA_GC		  0x3ce
#define VGA_CRTC_COLOR	  0x3d4
#define VGA_STATUS1_COLOR 0x3da

#define VGA_MISC_COLOR	      0x01u /* CRTC at 3D4 */
#define VGA_STATUS1_BLANK     0x01u
#define VGA_STATUS1_VRETRACE  0x08u
#define VGA_CRTC_HDISP_END    0x01
#define VGA_CRTC_OVERFLOW     0x07
#define VGA_CRTC_MAX_SCAN     0x09
#define VGA_CRTC_CURSOR_START 0x0a /* bit 5: off */
#define VGA_CRTC_CURSOR_END   0x0b
#define VGA_CRTC_START_HI     0x0c
#define VGA_CRTC_START_LO     0x0d
#define VGA_CRTC_CURSOR_HI    0x0e
#define VGA_CRTC_CURSOR_LO    0x0f
#define VGA_CRTC_VSYNC_END    0x11 /* bit 7 protects registers 0-7 */
#define VGA_CRTC_VDISP_END    0x12
#define VGA_CRTC_OFFSET	      0x13
#define VGA_GC_MISC	      0x06
#define VGA_GC_MISC_GRAPHICS  0x01u

#define VGA_CRTC_REGS 0x19
#define VGA_MAX_COLS  132
#define VGA_MAX_ROWS  60
#define VGA_TEXT_MASK 0x7fffu /* the 32 KiB page wraps */

struct vga {
	u8 misc, feature, enable;
	u8 seq_index, seq[5];
	u8 gc_index, gc[9];
	u8 crtc_index, crtc[VGA_CRTC_REGS];
	u8 attr_index, attr[21];
	bool attr_data; /* flip-flop: next write to 3C0 is data */
	u8 dac[256][3], dac_mask, dac_read, dac_write, dac_sub;
	bool dac_reading;
	u32 line_hash[VGA_MAX_ROWS]; /* of what vga_changed_lines() last reported */
	const struct dev_host *host;
};

/* The screen as the CRTC would show it. */
struct vga_geometry {
	unsigned cols, rows;
	unsigned start; /* byte offset of the first cell */
	unsigned pitch; /* bytes per row */
	unsigned cursor_col, cursor_row;
	bool cursor_on; /* and inside the screen */
};

typedef void vga_line_fn(void *ctx, unsigned row, const char *text);

/* 0, or what bus_add_port() says. */
int vga_init(struct vga *v, struct bus *bus, const struct dev_host *host);
/* Registers of BIOS mode 3; the first vga_changed_lines() then reports lines that are not blank. */
void vga_reset(struct vga *v);
/* False in graphics modes, or when the text window is not at B8000h. */
bool vga_is_text(const struct vga *v);
/* The text page as the CRTC registers have it. */
void vga_geometry(const struct vga *v, struct vga_geometry *g);
/* Render row @row of the text page @vram (PC_VGA_TEXT_SIZE bytes) as ASCII without trailing blanks.
 * @buf holds VGA_MAX_COLS + 1. Returns its length; 0 beyond the screen. */
unsigned vga_text_line(const struct vga *v, const u8 *vram, unsigned row, char *buf);
/* Call @fn for every visible row, blank ones too; returns the number of rows. */
unsigned vga_text_read(const struct vga *v, const u8 *vram, vga_line_fn *fn, void *ctx);
/* Call @fn for every row that differs from the last time; returns how many. */
unsigned vga_changed_lines(struct vga *v, const u8 *vram, vga_line_fn *fn, void *ctx);

#endif
