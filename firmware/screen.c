/* A character grid in memory, and two ways of showing it.
 *
 * Display memory is slow (uncached, or trapped by an outer hypervisor): a cell is drawn only when
 * its character changes, display memory is never read, and scrolling moves half of the screen at
 * once.
 *
 * SPDX-License-Identifier: MIT
 */
#include "firmware/screen.h"
#include "firmware/font.h"
#include "lib/str.h"

#define SCREEN_MAX_COLS	    200
#define SCREEN_MAX_ROWS	    80
#define TEXT_ATTR	    0x07
#define TEXT_BYTES_PER_CELL 2
#define TAB		    8

static struct {
	u8 *mem; /* NULL: no display */
	struct boot_fb fb;
	unsigned cols, rows, x, y;
	char cell[SCREEN_MAX_ROWS][SCREEN_MAX_COLS];
} scr;

/* One line of a glyph, two pixels of 32 bits at a time: nearly every framebuffer, and every
 * character that guests print is drawn while they wait. */
static void draw_line32(u8 *at, u8 bits)
{
	/* By the pixels' bits; the left one is the higher bit and the lower address. */
	static const u64 pair[4] = {0, 0xffffffff00000000, 0x00000000ffffffff, ~0ull};
	volatile u64 *p = (volatile u64 *)at;

	p[0] = pair[bits >> 6];
	p[1] = pair[bits >> 4 & 3];
	p[2] = pair[bits >> 2 & 3];
	p[3] = pair[bits & 3];
}

/* The same in any depth from 15 to 32 bits: all show all-ones as white. */
static void draw_line(u8 *p, unsigned bytes, u8 bits)
{
	if (bytes == sizeof(u32)) {
		draw_line32(p, bits);
		return;
	}
	for (unsigned x = 0; x < FONT_WIDTH; x++, bits = (u8)(bits << 1))
		for (unsigned b = 0; b < bytes; b++)
			((volatile u8 *)p)[bytes * x + b] = bits & 0x80 ? 0xff : 0;
}

static void draw_cell(unsigned x, unsigned y)
{
	unsigned bytes = (scr.fb.bpp + 7u) / 8;
	u64 pitch = scr.fb.pitch;
	char c = scr.cell[y][x];
	u8 *p;

	if (scr.fb.text) {
		((volatile u16 *)(scr.mem + y * pitch))[x] = (u16)((u8)c | TEXT_ATTR << 8);
		return;
	}
	p = scr.mem + (u64)y * FONT_HEIGHT * pitch + (u64)x * FONT_WIDTH * bytes;
	for (unsigned l = 0; l < FONT_HEIGHT; l++, p += pitch)
		draw_line(p, bytes, font_line(c, l));
}

static void set_cell(unsigned x, unsigned y, char c)
{
	if (scr.cell[y][x] == c)
		return;
	scr.cell[y][x] = c;
	draw_cell(x, y);
}

void screen_redraw(void)
{
	for (unsigned y = 0; scr.mem && y < scr.rows; y++)
		for (unsigned x = 0; x < scr.cols; x++)
			draw_cell(x, y);
}

u64 screen_bytes(const struct boot_fb *fb)
{
	return (u64)fb->pitch * fb->height;
}

static bool geometry_ok(const struct boot_fb *fb)
{
	u64 row = fb->text ? (u64)fb->width * TEXT_BYTES_PER_CELL
			   : (u64)fb->width * ((fb->bpp + 7u) / 8);

	if (!fb->width || !fb->height || fb->pitch < row || fb->height > 65536)
		return false;
	return fb->text || (fb->bpp >= 15 && fb->bpp <= 32);
}

bool screen_init(const struct boot_fb *fb, void *va)
{
	if (!geometry_ok(fb))
		return false;
	scr.fb = *fb;
	scr.cols = MIN(fb->text ? fb->width : fb->width / FONT_WIDTH, (u32)SCREEN_MAX_COLS);
	scr.rows = MIN(fb->text ? fb->height : fb->height / FONT_HEIGHT, (u32)SCREEN_MAX_ROWS);
	if (!scr.cols || !scr.rows)
		return false;
	memset(scr.cell, ' ', sizeof(scr.cell));
	scr.x = scr.y = 0;
	scr.mem = va;
	/* Blank cells of a framebuffer are all zeroes; those of text memory have an attribute. */
	if (fb->text)
		screen_redraw();
	else
		memset(va, 0, screen_bytes(fb));
	return true;
}

void screen_move(void *va)
{
	if (scr.mem)
		scr.mem = va;
}

/* Jump-scroll: the cost of one redraw buys half of the screen. */
static void scroll(void)
{
	unsigned by = MAX(scr.rows / 2, 1u);

	for (unsigned y = 0; y < scr.rows; y++)
		for (unsigned x = 0; x < scr.cols; x++)
			set_cell(x, y, y + by < scr.rows ? scr.cell[y + by][x] : ' ');
	scr.y = scr.rows - by;
}

static void newline(void)
{
	scr.x = 0;
	if (++scr.y == scr.rows)
		scroll();
}

static void put(char c)
{
	if (c == '\n') {
		newline();
	} else if (c == '\r') {
		scr.x = 0;
	} else if (c == '\t') {
		scr.x = ALIGN_DOWN(scr.x + TAB, TAB);
	} else if (c >= ' ' && c <= '~') {
		if (scr.x >= scr.cols)
			newline();
		set_cell(scr.x++, scr.y, c);
	}
}

void screen_write(const char *buf, size_t len)
{
	for (size_t i = 0; scr.mem && i < len; i++)
		put(buf[i]);
}
