/* VGA registers and text rendering. See vga.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/vga.h"

#include "dev/port8.h"
#include "lib/str.h"

/* 720x400 at 70 Hz: 449 lines of 31.78 us, 400 of them shown, sync on lines 412 and 413. */
#define LINE_NS	      31778u
#define LINE_SHOWN_NS 25422u
#define FRAME_LINES   449u
#define SHOWN_LINES   400u
#define VSYNC_FIRST   412u
#define VSYNC_LAST    413u

#define ATTR_REGS	21
#define ATTR_INDEX	0x1f
#define CRTC_PROTECT	0x80u
#define CURSOR_OFF	0x20u
#define STATUS0_SENSE	0x10u /* a colour monitor answers */
#define DAC_STATE_READ	3
#define DAC_STATE_WRITE 0
#define FNV_BASIS	0x811c9dc5u
#define FNV_PRIME	0x01000193u

/* --- registers -------------------------------------------------------------------------------- */

static u8 status1(struct vga *v)
{
	u64 ns = dev_now(v->host) % ((u64)LINE_NS * FRAME_LINES);
	unsigned line = (unsigned)(ns / LINE_NS);
	u8 value = 0;

	v->attr_data = false;
	if (line >= SHOWN_LINES || ns % LINE_NS >= LINE_SHOWN_NS)
		value |= VGA_STATUS1_BLANK;
	if (line >= VSYNC_FIRST && line <= VSYNC_LAST)
		value |= VGA_STATUS1_VRETRACE;
	return value;
}

static u8 indexed_read(const u8 *regs, unsigned count, u8 index)
{
	return index < count ? regs[index] : 0;
}

static void crtc_write(struct vga *v, u8 value)
{
	u8 index = v->crtc_index;

	if (index >= VGA_CRTC_REGS)
		return;
	if (index <= VGA_CRTC_OVERFLOW && (v->crtc[VGA_CRTC_VSYNC_END] & CRTC_PROTECT)) {
		if (index == VGA_CRTC_OVERFLOW) /* line compare bit 8 stays writable */
			v->crtc[index] = (v->crtc[index] & ~0x10u) | (value & 0x10);
		return;
	}
	v->crtc[index] = value;
}

static void attr_write(struct vga *v, u8 value)
{
	if (!v->attr_data)
		v->attr_index = value & 0x3f; /* bit 5: palette to the display */
	else if ((v->attr_index & ATTR_INDEX) < ATTR_REGS)
		v->attr[v->attr_index & ATTR_INDEX] = value;
	v->attr_data = !v->attr_data;
}

static u8 dac_read(struct vga *v)
{
	u8 value = v->dac[v->dac_read][v->dac_sub];

	if (++v->dac_sub == 3) {
		v->dac_sub = 0;
		v->dac_read++;
	}
	return value;
}

static void dac_write(struct vga *v, u8 value)
{
	v->dac[v->dac_write][v->dac_sub] = value & 0x3f;
	if (++v->dac_sub == 3) {
		v->dac_sub = 0;
		v->dac_write++;
	}
}

static void dac_select(struct vga *v, u8 *index, u8 value)
{
	*index = value;
	v->dac_sub = 0;
	v->dac_reading = index == &v->dac_read;
}

/* CRTC and status 1 answer at 3Bx or 3Dx, as the misc register says; normalised to 3Dx. False: not
 * decoded now. */
static bool decode(const struct vga *v, u16 *port)
{
	bool mono = *port < VGA_ATTR, color = *port >= VGA_CRTC_COLOR - 4;

	if (!mono && !color)
		return true;
	if (mono == (bool)(v->misc & VGA_MISC_COLOR))
		return false;
	*port = (u16)((*port & 0xf) | 0x3d0);
	return true;
}

static u8 read8(void *dev, u16 port)
{
	struct vga *v = dev;

	if (!decode(v, &port))
		return 0xff;
	switch (port) {
	case VGA_ATTR:
		return v->attr_index;
	case VGA_ATTR_READ:
		return indexed_read(v->attr, ATTR_REGS, v->attr_index & ATTR_INDEX);
	case VGA_MISC_WRITE:
		return STATUS0_SENSE;
	case VGA_ENABLE:
		return v->enable;
	case VGA_SEQ:
		return v->seq_index;
	case VGA_SEQ + 1:
		return indexed_read(v->seq, sizeof(v->seq), v->seq_index);
	case VGA_DAC_MASK:
		return v->dac_mask;
	case VGA_DAC_READ:
		return v->dac_reading ? DAC_STATE_READ : DAC_STATE_WRITE;
	case VGA_DAC_WRITE:
		return v->dac_write;
	case VGA_DAC_DATA:
		return dac_read(v);
	case VGA_FEATURE_READ:
		return v->feature;
	case VGA_MISC_READ:
		return v->misc;
	case VGA_GC:
		return v->gc_index;
	case VGA_GC + 1:
		return indexed_read(v->gc, sizeof(v->gc), v->gc_index);
	case VGA_CRTC_COLOR:
		return v->crtc_index;
	case VGA_CRTC_COLOR + 1:
		return indexed_read(v->crtc, VGA_CRTC_REGS, v->crtc_index);
	case VGA_STATUS1_COLOR:
		return status1(v);
	default:
		return 0xff;
	}
}

static void write8(void *dev, u16 port, u8 value)
{
	struct vga *v = dev;

	if (!decode(v, &port))
		return;
	switch (port) {
	case VGA_ATTR:
		attr_write(v, value);
		break;
	case VGA_MISC_WRITE:
		v->misc = value;
		break;
	case VGA_ENABLE:
		v->enable = value & 1;
		break;
	case VGA_SEQ:
		v->seq_index = value & 7;
		break;
	case VGA_SEQ + 1:
		if (v->seq_index < sizeof(v->seq))
			v->seq[v->seq_index] = value;
		break;
	case VGA_DAC_MASK:
		v->dac_mask = value;
		break;
	case VGA_DAC_READ:
		dac_select(v, &v->dac_read, value);
		break;
	case VGA_DAC_WRITE:
		dac_select(v, &v->dac_write, value);
		break;
	case VGA_DAC_DATA:
		dac_write(v, value);
		break;
	case VGA_GC:
		v->gc_index = value & 0x0f;
		break;
	case VGA_GC + 1:
		if (v->gc_index < sizeof(v->gc))
			v->gc[v->gc_index] = value;
		break;
	case VGA_CRTC_COLOR:
		v->crtc_index = value & 0x1f;
		break;
	case VGA_CRTC_COLOR + 1:
		crtc_write(v, value);
		break;
	case VGA_STATUS1_COLOR:
		v->feature = value;
		break;
	}
}

static u32 port_read(void *dev, u16 port, unsigned size)
{
	return port8_read(read8, dev, port, size);
}

static void port_write(void *dev, u16 port, unsigned size, u32 value)
{
	port8_write(write8, dev, port, size, value);
}

static const struct port_ops vga_ops = {.read = port_read, .write = port_write};

/* --- text ------------------------------------------------------------------------------------- */

bool vga_is_text(const struct vga *v)
{
	u8 misc = v->gc[VGA_GC_MISC];

	return !(misc & VGA_GC_MISC_GRAPHICS) && (misc & 0x0c) == 0x0c;
}

/* Scan lines shown: VDE has its bits 8 and 9 in the overflow register. */
static unsigned display_lines(const struct vga *v)
{
	u8 overflow = v->crtc[VGA_CRTC_OVERFLOW];

	return v->crtc[VGA_CRTC_VDISP_END] + (overflow & 0x02 ? 0x100 : 0) +
	       (overflow & 0x40 ? 0x200 : 0) + 1u;
}

static unsigned crtc_word(const struct vga *v, unsigned hi)
{
	return (unsigned)v->crtc[hi] << 8 | v->crtc[hi + 1];
}

void vga_geometry(const struct vga *v, struct vga_geometry *g)
{
	unsigned cell = (v->crtc[VGA_CRTC_MAX_SCAN] & 0x1f) + 1u;
	unsigned cursor;

	g->cols = MIN(v->crtc[VGA_CRTC_HDISP_END] + 1u, VGA_MAX_COLS);
	g->rows = MIN(display_lines(v) / cell, VGA_MAX_ROWS);
	g->start = crtc_word(v, VGA_CRTC_START_HI) * 2;
	g->pitch = v->crtc[VGA_CRTC_OFFSET] * 4u;
	if (!g->pitch)
		g->pitch = g->cols * 2;
	cursor = (crtc_word(v, VGA_CRTC_CURSOR_HI) * 2 - g->start) & 0x1ffff;
	g->cursor_row = cursor / g->pitch;
	g->cursor_col = cursor % g->pitch / 2;
	g->cursor_on = !(v->crtc[VGA_CRTC_CURSOR_START] & CURSOR_OFF) && g->cursor_row < g->rows &&
		       g->cursor_col < g->cols;
}

/* Code page 437 above ASCII: Latin letters without their accents, frames as + - |, shades as #, the
 * rest as dots. */
static char ascii_of(u8 ch)
{
	static const char high[] = "CueaaaaceeeiiiAAEaAooouuyOUcLYPf"  /* 80 */
				   "aiounNao?--24!<>###|++++++|+++++"  /* A0 */
				   "++++-++++++++-+++++++++++++#_||~"  /* C0 */
				   "abGpSsutPTOd8fen=+><fj/=o..Vn2# "; /* E0 */
	static const char low[] = " OO****.*oo**nn*><|!PS-|^v><L-^v";

	_Static_assert(sizeof(high) == 129 && sizeof(low) == 33, "code page halves");
	if (ch >= 0x80)
		return high[ch - 0x80];
	if (ch < 0x20)
		return low[ch];
	return ch == 0x7f ? '^' : (char)ch;
}

unsigned vga_text_line(const struct vga *v, const u8 *vram, unsigned row, char *buf)
{
	struct vga_geometry g;
	unsigned len = 0;

	buf[0] = '\0';
	vga_geometry(v, &g);
	if (row >= g.rows || !vga_is_text(v))
		return 0;
	for (unsigned col = 0; col < g.cols; col++) {
		buf[col] = ascii_of(vram[(g.start + row * g.pitch + col * 2) & VGA_TEXT_MASK]);
		if (buf[col] != ' ')
			len = col + 1;
	}
	buf[len] = '\0';
	return len;
}

static unsigned visible_rows(const struct vga *v)
{
	struct vga_geometry g;

	vga_geometry(v, &g);
	return vga_is_text(v) ? g.rows : 0;
}

unsigned vga_text_read(const struct vga *v, const u8 *vram, vga_line_fn *fn, void *ctx)
{
	unsigned rows = visible_rows(v);
	char buf[VGA_MAX_COLS + 1];

	for (unsigned row = 0; row < rows; row++) {
		vga_text_line(v, vram, row, buf);
		fn(ctx, row, buf);
	}
	return rows;
}

static u32 hash(const char *text, unsigned len)
{
	u32 h = FNV_BASIS;

	for (unsigned i = 0; i < len; i++)
		h = (h ^ (u8)text[i]) * FNV_PRIME;
	return h;
}

unsigned vga_changed_lines(struct vga *v, const u8 *vram, vga_line_fn *fn, void *ctx)
{
	unsigned rows = visible_rows(v), changed = 0;
	char buf[VGA_MAX_COLS + 1];

	for (unsigned row = 0; row < rows; row++) {
		u32 h = hash(buf, vga_text_line(v, vram, row, buf));

		if (h == v->line_hash[row])
			continue;
		v->line_hash[row] = h;
		fn(ctx, row, buf);
		changed++;
	}
	return changed;
}

/* --- reset ------------------------------------------------------------------------------------ */

/* The 64 colours of an EGA: bits rgbRGB, two thirds and one third of full scale. */
static void ega_palette(struct vga *v)
{
	for (unsigned i = 0; i < 64; i++) {
		for (unsigned c = 0; c < 3; c++) {
			unsigned major = i >> (2 - c) & 1, minor = i >> (5 - c) & 1;

			v->dac[i][c] = (u8)(major * 0x2a + minor * 0x15);
		}
	}
}

/* Register values of BIOS mode 3: 80x25, 9x16 cells, colour. */
void vga_reset(struct vga *v)
{
	static const u8 seq[5] = {0x03, 0x00, 0x03, 0x00, 0x02};
	static const u8 gc[9] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff};
	static const u8 crtc[VGA_CRTC_REGS] = {
		0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
		0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
	};
	static const u8 attr[ATTR_REGS] = {
		0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a,
		0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00,
	};
	const struct dev_host *host = v->host;

	memset(v, 0, sizeof(*v));
	v->host = host;
	v->misc = 0x67;
	v->enable = 1;
	v->dac_mask = 0xff;
	v->attr_index = 0x20;
	memcpy(v->seq, seq, sizeof(seq));
	memcpy(v->gc, gc, sizeof(gc));
	memcpy(v->crtc, crtc, sizeof(crtc));
	memcpy(v->attr, attr, sizeof(attr));
	ega_palette(v);
	for (unsigned row = 0; row < VGA_MAX_ROWS; row++)
		v->line_hash[row] = FNV_BASIS; /* of an empty line */
}

int vga_init(struct vga *v, struct bus *bus, const struct dev_host *host)
{
	v->host = host;
	vga_reset(v);
	return bus_add_port(bus, VGA_PORT_BASE, VGA_PORT_LEN, &vga_ops, v);
}
