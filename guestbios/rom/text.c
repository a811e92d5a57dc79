/* INT 10h: text on the VGA's page at B8000, and the same text as whole lines to the channel.
 *
 * The screen itself is the line buffer: the collector only remembers which row is being written and
 * how far, and sends that row's characters when writing moves to another row (line feed, cursor
 * elsewhere, scroll). A line that the teletype wraps stays one line on the channel. What is
 * unfinished is sent when somebody waits for a key, asks for the memory map (a loader about to
 * leave), or after two ticks.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bios16.h"

#define CRTC	     0x3d4
#define CRTC_CURSOR  0x0e /* high byte; low byte in the next register */
#define CRTC_START   0x0c
#define CRTC_SHAPE   0x0a
#define CRTC_MAXSCAN 0x09
#define MAX_COLS     80
#define PAGES	     8
#define DEFAULT_ATTR 0x07

extern const u8 font8x8_low[], font8x8_high[], font8x16[], video_static[];

/* Ticks until the unfinished line is sent; entry_08 counts it down. */
u8 text_pending;

static struct {
	u8 page, row;
	u8 sent;   /* columns of the row that the channel has */
	u8 end;	   /* columns of the row that were written */
	bool live; /* page and row are valid */
	bool open; /* the channel's line lacks its LF */
} line;
static u16 crtc_cursor = 0; /* what the chip was told last */

/* --- geometry ------------------------------------------------------------------------------ */
static u8 columns(void)
{
	u16 c = bda.columns;

	return c == 0 || c > MAX_COLS ? MAX_COLS : c;
}

static u8 rows(void)
{
	u8 r = bda.rows_minus1;

	return r == 0 || r > 59 ? 25 : r + 1;
}

static u32 cell(u8 page, u8 row, u8 col)
{
	/* Rows off the screen stay inside the 32 KiB of text memory. */
	return ((page & (PAGES - 1)) * (u32)bda.page_size + (row * (u32)columns() + col) * 2) &
	       0x7ffe;
}

/* --- the collector ------------------------------------------------------------------------- */
/* Code page 437 to what a serial log can show. */
static u8 printable(u8 c)
{
	if (c >= 0x20 && c < 0x7f)
		return c;
	switch (c) {
	case 0x00:
	case 0xff:
		return ' ';
	case 0xb3:
	case 0xba:
		return '|';
	case 0xc4:
	case 0xcd:
		return '-';
	case 0x10:
	case 0x1a:
		return '>';
	case 0x11:
	case 0x1b:
		return '<';
	case 0x18:
	case 0x1e:
		return '^';
	case 0x07:
	case 0xf9:
	case 0xfa:
	case 0xfe:
		return '*';
	}
	if ((c >= 0xb0 && c <= 0xb2) || (c >= 0xdb && c <= 0xdf))
		return '#';
	return c >= 0xb4 && c <= 0xda ? '+' : '?';
}

/* Send the collected part of the row up to column `upto`; with `lf` finish the line, without its
 * trailing blanks. */
static void line_send(bool lf, u8 upto)
{
	u8 buf[MAX_COLS + 1], n = 0, used = 0;

	if (line.live) {
		u32 at = cell(line.page, line.row, line.sent);

		while (line.sent < upto) {
			buf[n] = printable(far_u8(TEXT_SEG, at));
			at += 2;
			line.sent++;
			if (buf[n++] != ' ')
				used = n;
		}
	}
	if (lf) {
		n = used;
		buf[n++] = '\n';
	}
	if (n)
		outsb(BIOSCHAN_PORT_TEXT, buf, n);
	line.open = !lf && (line.open || n);
}

/* Where the row's visible text ends: programs blank the rest of a row behind their prompt. */
static u8 line_visible_end(void)
{
	u8 page = line.page, end = line.end;
	u32 at = cell(page, line.row, 0);
	u8 cursor = bda.cursor[page].row == line.row ? bda.cursor[page].col : 0;

	while (end > line.sent && end > cursor &&
	       printable(far_u8(TEXT_SEG, at + (end - 1) * 2)) == ' ')
		end--;
	return end;
}

static bool line_blank(void)
{
	u32 at = cell(line.page, line.row, 0);

	for (u8 i = 0; i < line.end; i++, at += 2)
		if (printable(far_u8(TEXT_SEG, at)) != ' ')
			return false;
	return true;
}

/* Writing moves away from the collected row: finish its line, unless there is nothing to tell. */
static void line_end(void)
{
	if (line.open || (line.live && !line_blank()))
		line_send(true, line.end);
	line.live = false;
	line.open = false;
}

static void line_start(u8 page, u8 row)
{
	line.page = page;
	line.row = row;
	line.sent = line.end = 0;
	line.live = true;
}

/* Cells [col, col + n) of a row are about to change. */
static void line_touch(u8 page, u8 row, u8 col, u8 n)
{
	text_pending = 2;
	if (!line.live || line.page != page || line.row != row) {
		line_end();
		line_start(page, row);
	}
	if (col < line.sent) { /* rewritten: the row is told again from its start */
		line_end();
		line_start(page, row);
	}
	if (col + n > line.end)
		line.end = col + n;
}

/* --- cursor -------------------------------------------------------------------------------- */
static void cursor_to_crtc(void)
{
	u8 page = bda.page & (PAGES - 1);
	u16 at = cell(page, bda.cursor[page].row, bda.cursor[page].col) / 2;

	if (at == crtc_cursor)
		return;
	crtc_cursor = at;
	outw(CRTC, CRTC_CURSOR | (at & 0xff00));
	outw(CRTC, (CRTC_CURSOR + 1) | at << 8);
}

void text_sync(void)
{
	text_pending = 0;
	if (line.live)
		line_send(false, line_visible_end());
	cursor_to_crtc();
}

/* Called by the tick when text has waited. */
void text_sync_handler(struct regs *r);
void text_sync_handler(struct regs *r)
{
	(void)r;
	text_sync();
}

static void cursor_shape(u16 shape)
{
	u8 top = shape >> 8, bottom = shape & 0xff;
	u8 height = bda.char_height;

	bda.cursor_shape = shape;
	/* Programs think in 8-line CGA cells: stretch to the real cell, as VGA BIOSes do. */
	if (!(top & 0x20) && top < 8 && bottom < 8 && height > 8) {
		top = top * height / 8 + 1;
		bottom = (bottom + 1) * height / 8 - 1;
	}
	outw(CRTC, CRTC_SHAPE | top << 8);
	outw(CRTC, (CRTC_SHAPE + 1) | bottom << 8);
}

/* --- cells --------------------------------------------------------------------------------- */
static void fill_cells(u32 at, u32 n, u8 attr)
{
	while (n--) {
		far_set_u16(TEXT_SEG, at, ' ' | attr << 8);
		at += 2;
	}
}

static void copy_row(u8 page, u8 to, u8 from, u8 left, u8 n)
{
	u32 dst = cell(page, to, left), src = cell(page, from, left);

	for (u8 i = 0; i < n; i++)
		far_set_u16(TEXT_SEG, dst + i * 2, far_u16(TEXT_SEG, src + i * 2));
}

struct window {
	u8 page, top, left, bottom, right;
};

/* Scroll a window by n rows (0: clear it); up or down. */
static void scroll(const struct window *w, u8 n, u8 attr, bool up)
{
	u8 height = w->bottom - w->top + 1, width = w->right - w->left + 1;

	if (n == 0 || n > height)
		n = height;
	for (u8 i = 0; i < height; i++) {
		u8 to = up ? w->top + i : w->bottom - i;

		if (i + n < height)
			copy_row(w->page, to, up ? to + n : to - n, w->left, width);
		else
			fill_cells(cell(w->page, to, w->left), width, attr);
	}
}

static void scroll_call(const struct regs *r, bool up)
{
	struct window w = {bda.page, r->ch, r->cl, r->dh, r->dl};

	line_end();
	if (w.bottom >= rows())
		w.bottom = rows() - 1;
	if (w.right >= columns())
		w.right = columns() - 1;
	if (w.top <= w.bottom && w.left <= w.right)
		scroll(&w, r->al, r->bh, up);
}

/* --- teletype ------------------------------------------------------------------------------ */
static void line_feed(u8 page, u8 *row)
{
	struct window w = {page, 0, 0, rows() - 1, columns() - 1};
	u8 attr;

	if (*row < w.bottom) {
		++*row;
		return;
	}
	attr = far_u8(TEXT_SEG, cell(page, w.bottom, 0) + 1);
	scroll(&w, 1, attr, true);
}

static void teletype(u8 page, u8 c, int attr)
{
	u8 col, row;

	page &= PAGES - 1;
	col = bda.cursor[page].col;
	row = bda.cursor[page].row;
	switch (c) {
	case 7:
		return;
	case 8:
		if (col)
			col--;
		break;
	case '\r':
		col = 0;
		break;
	case '\n':
		if (line.live && (line.page != page || line.row != row))
			line_end();
		line_send(true, line.end);
		line.live = false;
		line_feed(page, &row);
		break;
	default:
		line_touch(page, row, col, 1);
		far_set_u8(TEXT_SEG, cell(page, row, col), c);
		if (attr >= 0)
			far_set_u8(TEXT_SEG, cell(page, row, col) + 1, attr);
		if (++col == columns()) {
			col = 0;
			line_send(false, line.end);
			line_feed(page, &row);
			line_start(page, row);
		}
	}
	bda.cursor[page].col = col;
	bda.cursor[page].row = row;
	text_pending = 2;
}

void tty_putc(u8 c)
{
	if (c == '\n')
		teletype(bda.page, '\r', -1);
	teletype(bda.page, c, -1);
}

void tty_puts(const char *rom_string)
{
	for (u8 c; (c = rom_u8(rom_string)); rom_string++)
		tty_putc(c);
}

void tty_dec(u32 v)
{
	char digits[10];
	u8 n = 0;

	do
		digits[n++] = '0' + v % 10;
	while (v /= 10);
	while (n)
		tty_putc(digits[--n]);
}

void tty_name(void)
{
	for (u8 i = 0; i < sizeof(shared.name) && shared.name[i]; i++)
		tty_putc(shared.name[i]);
}

/* 09h and 0Ah: CX copies from the cursor on, which stays. */
static void write_repeated(const struct regs *r, bool with_attr)
{
	u8 page = r->bh & (PAGES - 1);
	u8 col = bda.cursor[page].col, row = bda.cursor[page].row;
	u16 left = r->cx;

	while (left && row < rows()) {
		u8 n = MIN(left, columns() - col);
		u32 at = cell(page, row, col);

		line_touch(page, row, col, n);
		for (u8 i = 0; i < n; i++, at += 2) {
			far_set_u8(TEXT_SEG, at, r->al);
			if (with_attr)
				far_set_u8(TEXT_SEG, at + 1, r->bl);
		}
		left -= n;
		col = 0;
		row++;
	}
}

/* 13h: a string at DH,DL; AL bit 0 moves the cursor, bit 1 means that attributes are interleaved.
 */
static void write_string(const struct regs *r)
{
	u8 page = r->bh & (PAGES - 1);
	u16 old_row_col = bda.cursor[page].row << 8 | bda.cursor[page].col;
	u16 src = r->ebp;

	bda.cursor[page].row = r->dh;
	bda.cursor[page].col = r->dl;
	for (u16 n = r->cx; n; n--) {
		u8 c = far_u8(r->es, src++);
		u8 attr = r->al & 2 ? far_u8(r->es, src++) : r->bl;

		teletype(page, c, attr);
	}
	if (!(r->al & 1)) {
		bda.cursor[page].row = old_row_col >> 8;
		bda.cursor[page].col = old_row_col;
	}
}

/* --- modes --------------------------------------------------------------------------------- */
static void set_page(u8 page)
{
	u16 start;

	page &= PAGES - 1;
	bda.page = page;
	start = page * bda.page_size;
	bda.page_start = start;
	outw(CRTC, CRTC_START | ((start / 2) & 0xff00));
	outw(CRTC, (CRTC_START + 1) | (start / 2) << 8);
	cursor_to_crtc();
}

static void set_rows(u8 n, u8 height)
{
	line_end();
	bda.rows_minus1 = n - 1;
	bda.char_height = height;
	bda.page_size = n > 25 ? 0x2000 : 0x1000;
	outw(CRTC, CRTC_MAXSCAN | (0x40 | (height - 1)) << 8);
	cursor_shape(0x0607);
}

static void set_mode(u8 mode)
{
	u8 number = mode & 0x7f;

	if (number > 3 && number != 7)
		return;
	line_end();
	bda.video_mode = number;
	bda.columns = number < 2 ? 40 : 80;
	bda.video_ctl = 0x60 | (mode & 0x80);
	bda.crtc = CRTC;
	for (u8 i = 0; i < PAGES; i++) {
		bda.cursor[i].row = 0;
		bda.cursor[i].col = 0;
	}
	set_rows(25, 16);
	bda.page_size = number < 2 ? 0x800 : 0x1000;
	if (!(mode & 0x80))
		fill_cells(0, 0x4000, DEFAULT_ATTR);
	outw(CRTC, 0x01 | (bda.columns - 1) << 8);
	outw(CRTC, 0x13 | (bda.columns / 2) << 8);
	set_page(0);
}

/* --- fonts, palette, state ----------------------------------------------------------------- */
static void font_call(struct regs *r)
{
	switch (r->al) {
	case 0x01: /* 8x14: served as 8x16 */
	case 0x04:
	case 0x11:
	case 0x14:
		set_rows(25, 16);
		return;
	case 0x02:
	case 0x12:
		set_rows(50, 8);
		return;
	case 0x30:
		break;
	default:
		return;
	}
	r->es = ROM_SEG;
	switch (r->bh) {
	case 0:
		r->es = far_u16(0, 0x1f * 4 + 2);
		r->ebp = far_u16(0, 0x1f * 4);
		break;
	case 1:
		r->es = far_u16(0, 0x43 * 4 + 2);
		r->ebp = far_u16(0, 0x43 * 4);
		break;
	case 3:
		r->ebp = rom_offset(font8x8_low);
		break;
	case 4:
		r->ebp = rom_offset(font8x8_high);
		break;
	default:
		r->ebp = rom_offset(font8x16);
	}
	r->cx = bda.char_height;
	r->dl = bda.rows_minus1;
}

#define DAC_READ  0x3c7
#define DAC_WRITE 0x3c8
#define DAC_DATA  0x3c9

/* 10h: the DAC in full; attribute registers, which text on a terminal has no use for, are accepted.
 */
static void palette_call(struct regs *r)
{
	u16 src = r->dx;

	switch (r->al) {
	case 0x10:
		outb(DAC_WRITE, r->bl);
		outb(DAC_DATA, r->dh);
		outb(DAC_DATA, r->ch);
		outb(DAC_DATA, r->cl);
		break;
	case 0x12:
		outb(DAC_WRITE, r->bl);
		for (u32 n = (r->cx & 0xff) * 3; n; n--)
			outb(DAC_DATA, far_u8(r->es, src++));
		break;
	case 0x15:
		outb(DAC_READ, r->bl);
		r->dh = inb(DAC_DATA);
		r->ch = inb(DAC_DATA);
		r->cl = inb(DAC_DATA);
		break;
	case 0x17:
		outb(DAC_READ, r->bl);
		for (u32 n = (r->cx & 0xff) * 3; n; n--)
			far_set_u8(r->es, src++, inb(DAC_DATA));
		break;
	case 0x1a:
		r->bx = 0;
		break;
	}
}

static void select_call(struct regs *r)
{
	switch (r->bl) {
	case 0x10:
		r->bx = 0x0003; /* colour, 256 KiB */
		r->cx = 0x0009;
		break;
	case 0x30:
	case 0x31:
	case 0x32:
	case 0x33:
	case 0x34:
	case 0x36:
		r->al = 0x12;
		break;
	}
}

/* 1Bh: functionality and state, 64 bytes at ES:DI. */
static void state_call(struct regs *r)
{
	u32 di = r->edi & 0xffff;

	for (u32 i = 4; i < 0x22; i++)
		far_set_u8(r->es, di + i, far_u8(BDA_SEG, 0x49 - 4 + i));
	far_set_u16(r->es, di, rom_offset(video_static));
	far_set_u16(r->es, di + 2, ROM_SEG);
	far_set_u8(r->es, di + 0x22, bda.rows_minus1 + 1);
	far_set_u16(r->es, di + 0x23, bda.char_height);
	far_set_u8(r->es, di + 0x25, 8);
	far_set_u8(r->es, di + 0x26, 0);
	far_set_u16(r->es, di + 0x27, 16);
	far_set_u8(r->es, di + 0x29, PAGES);
	far_set_u8(r->es, di + 0x2a, 2);
	for (u32 i = 0x2b; i < 0x40; i++)
		far_set_u8(r->es, di + i, 0);
	far_set_u8(r->es, di + 0x31, 3);
	r->al = 0x1b;
}

void int10(struct regs *r);
void int10(struct regs *r)
{
	u8 page = r->bh & (PAGES - 1);
	u32 at;

	switch (r->ah) {
	case 0x00:
		set_mode(r->al);
		r->al = 0x30;
		break;
	case 0x01:
		cursor_shape(r->cx);
		break;
	case 0x02:
		bda.cursor[page].row = r->dh;
		bda.cursor[page].col = r->dl;
		text_pending = 2;
		break;
	case 0x03:
		r->dh = bda.cursor[page].row;
		r->dl = bda.cursor[page].col;
		r->cx = bda.cursor_shape;
		r->ax = 0;
		break;
	case 0x04: /* light pen: none */
		r->ah = 0;
		break;
	case 0x05:
		set_page(r->al);
		break;
	case 0x06:
	case 0x07:
		scroll_call(r, r->ah == 6);
		break;
	case 0x08:
		at = cell(page, bda.cursor[page].row, bda.cursor[page].col);
		r->ax = far_u16(TEXT_SEG, at);
		break;
	case 0x09:
	case 0x0a:
		write_repeated(r, r->ah == 9);
		break;
	case 0x0b: /* border and CGA palette: nothing to show them */
		break;
	case 0x0e:
		teletype(bda.page, r->al, -1);
		break;
	case 0x0f:
		r->al = bda.video_mode | (bda.video_ctl & 0x80);
		r->ah = columns();
		r->bh = bda.page;
		break;
	case 0x10:
		palette_call(r);
		break;
	case 0x11:
		font_call(r);
		break;
	case 0x12:
		select_call(r);
		break;
	case 0x13:
		write_string(r);
		break;
	case 0x1a:
		if (r->al == 0)
			r->bx = 0x0008; /* VGA with a colour display */
		r->al = 0x1a;
		break;
	case 0x1b:
		state_call(r);
		break;
	case 0x4f: /* no VESA BIOS */
		r->ax = 0x0100;
		break;
	default:
		log_call(0x10, r);
	}
}
