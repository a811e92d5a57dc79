/* A character grid in memory, and two ways of showing it.
 *
 * Display memory is slow (uncached, or trapped by an outer hypervisor): a cell is drawn only when
 * its character changes, display memory is never read, and scrolling moves a quarter of the screen
 * at once.
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

/* One line of a glyph; all depths from 15 to 32 show all-ones as white. */
static void draw_line(u8 *p, u8 bits)
{
	unsigned bytes = (scr.fb.bpp + 7u) / 8;

	for (unsigned x = 0; x < FONT_WIDTH; x++, bits = (u8)(bits << 1)) {
		u32 pixel = bits & 0x80 ? 0xffffffff : 0;

		if (bytes == 4) {
			*(volatile u32 *)(p + 4 * x) = pixel;
			continue;
		}
		for (unsigned b = 0; b < bytes; b++)
			((volatile u8 *)p)[bytes * x + b] = (u8)pixel;
	}
}

static void draw_cell(unsigned x, unsigned y)
{
	unsigned bytes = (scr.fb.bpp + 7u) / 8;

	if (scr.fb.text) {
		volatile u16 *p = (volatile u16 *)(scr.mem + (u64)y * scr.fb.pitch);

		p[x] = (u16)((u8)scr.cell[y][x] | TEXT_ATTR << 8);
		return;
	}
	for (unsigned l = 0; l < FONT_HEIGHT; l++)
		draw_line(scr.mem + (u64)(y * FONT_HEIGHT + l) * scr.fb.pitch +
				  (u64)x * FONT_WIDTH * bytes,
			  font_line(scr.cell[y][x], l));
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

/* Jump-scroll: the cost of one redraw buys a quarter of the screen. */
static void scroll(void)
{
	unsigned by = MAX(scr.rows / 4, 1u);

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
