/* VGA text. Would catch: a screen read from the wrong place (start address, wrap, pitch), lines
 * reported unchanged or twice, code page 437 leaking into the serial line, registers that probes
 * find wrong, a retrace bit that does not move.
 *
 * SRCS: hv/dev/vga.c hv/dev/bus.c hv/lib/timerq.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/vga.h"

#include "board_host.h"
#include "penumbra/platform.h"
#include "unit.h"

static struct board_host b;
static struct vga vga;
static u8 vram[PC_VGA_TEXT_SIZE];
static char lines[VGA_MAX_ROWS][VGA_MAX_COLS + 1];
static unsigned nlines, last_row;

static void on_line(void *ctx, unsigned row, const char *text)
{
	(void)ctx;
	nlines++;
	last_row = row;
	strcpy(lines[row], text);
}

static void setup(void)
{
	board_host_init(&b, NULL, 0);
	nlines = 0;
	for (unsigned i = 0; i < sizeof(vram); i += 2) {
		vram[i] = ' ';
		vram[i + 1] = 7;
	}
	CHECK_EQ(vga_init(&vga, &b.bus, &b.f.host), 0);
}

static void print(unsigned offset, const char *s)
{
	for (; *s; s++, offset += 2)
		vram[offset & VGA_TEXT_MASK] = (u8)*s;
}

static void crtc(u8 index, u8 value)
{
	bus_port_write(&b.bus, VGA_CRTC_COLOR, 2, (u32)value << 8 | index);
}

static unsigned changed(void)
{
	nlines = 0;
	return vga_changed_lines(&vga, vram, on_line, NULL);
}

TEST(the_default_screen_is_80_by_25)
{
	struct vga_geometry g;

	setup();
	vga_geometry(&vga, &g);
	CHECK_EQ(g.cols, 80);
	CHECK_EQ(g.rows, 25);
	CHECK_EQ(g.pitch, 160);
	CHECK_EQ(g.start, 0);
	CHECK(vga_is_text(&vga));
	print(24 * 160 + 2 * 70, "corner");
	CHECK_EQ(vga_text_read(&vga, vram, on_line, NULL), 25);
	CHECK_EQ(nlines, 25);
	CHECK_EQ(strlen(lines[24]), 76);
	CHECK_STR(lines[24] + 70, "corner");
	CHECK_STR(lines[0], "");
}

TEST(only_changed_lines_are_reported_and_once)
{
	setup();
	CHECK_EQ(changed(), 0); /* a blank screen has nothing to say */
	print(3 * 160, "three");
	print(9 * 160, "nine");
	CHECK_EQ(changed(), 2);
	CHECK_STR(lines[3], "three");
	CHECK_STR(lines[9], "nine");
	CHECK_EQ(changed(), 0);
	vram[3 * 160 + 1] = 0x1f; /* colour is no change of text */
	CHECK_EQ(changed(), 0);
	print(3 * 160, "     ");
	CHECK_EQ(changed(), 1);
	CHECK_EQ(last_row, 3);
	CHECK_STR(lines[3], "");
}

TEST(the_start_address_scrolls_and_wraps)
{
	setup();
	crtc(VGA_CRTC_START_HI, 0x3f);
	crtc(VGA_CRTC_START_LO, 0xb0); /* one row before the end of 32 KiB */
	print(0x7f60, "last row of the page");
	print(0, "first again");
	CHECK_EQ(changed(), 2);
	CHECK_STR(lines[0], "last row of the page");
	CHECK_STR(lines[1], "first again");
}

TEST(other_modes_are_read_by_their_registers)
{
	struct vga_geometry g;

	setup();
	crtc(VGA_CRTC_MAX_SCAN, 0x47); /* 8-line font: 50 rows */
	vga_geometry(&vga, &g);
	CHECK_EQ(g.rows, 50);
	crtc(VGA_CRTC_VSYNC_END, 0x0e); /* unprotect */
	crtc(VGA_CRTC_HDISP_END, 39);
	crtc(VGA_CRTC_OFFSET, 20);
	print(80, "second row");
	vga_text_line(&vga, vram, 1, lines[0]);
	CHECK_STR(lines[0], "second row");
	crtc(VGA_CRTC_HDISP_END, 255); /* absurd values stay inside the buffers */
	crtc(VGA_CRTC_MAX_SCAN, 0);
	crtc(VGA_CRTC_OVERFLOW, 0xff);
	crtc(VGA_CRTC_OFFSET, 0);
	vga_geometry(&vga, &g);
	CHECK_EQ(g.cols, VGA_MAX_COLS);
	CHECK_EQ(g.rows, VGA_MAX_ROWS);
	CHECK_EQ(vga_text_read(&vga, vram, on_line, NULL), VGA_MAX_ROWS);
	CHECK_EQ(vga_text_line(&vga, vram, 1000, lines[0]), 0);
	out8(&b, VGA_GC, VGA_GC_MISC);
	out8(&b, VGA_GC + 1, 0x05); /* graphics */
	CHECK(!vga_is_text(&vga));
	CHECK_EQ(vga_text_read(&vga, vram, on_line, NULL), 0);
}

TEST(protected_crtc_registers_keep_their_values)
{
	setup();
	crtc(VGA_CRTC_HDISP_END, 39);
	CHECK_EQ(vga.crtc[VGA_CRTC_HDISP_END], 0x4f);
	crtc(VGA_CRTC_OVERFLOW, 0xe0);
	CHECK_EQ(vga.crtc[VGA_CRTC_OVERFLOW], 0x0f); /* only line compare bit 8 changes */
	crtc(VGA_CRTC_VSYNC_END, 0x0e);
	crtc(VGA_CRTC_HDISP_END, 39);
	CHECK_EQ(vga.crtc[VGA_CRTC_HDISP_END], 39);
}

TEST(the_cursor_is_known)
{
	struct vga_geometry g;

	setup();
	crtc(VGA_CRTC_CURSOR_HI, (12 * 80 + 34) >> 8);
	crtc(VGA_CRTC_CURSOR_LO, (12 * 80 + 34) & 0xff);
	vga_geometry(&vga, &g);
	CHECK(g.cursor_on);
	CHECK_EQ(g.cursor_row, 12);
	CHECK_EQ(g.cursor_col, 34);
	crtc(VGA_CRTC_CURSOR_START, 0x2d);
	vga_geometry(&vga, &g);
	CHECK(!g.cursor_on);
}

TEST(every_glyph_becomes_printable_ascii)
{
	setup();
	for (unsigned ch = 0; ch < 256; ch++) {
		char buf[VGA_MAX_COLS + 1];

		vram[0] = (u8)ch;
		vram[2] = 'x';
		vga_text_line(&vga, vram, 0, buf);
		CHECK(buf[0] >= 0x20 && buf[0] <= 0x7e && buf[1] == 'x');
		if (ch >= 0x20 && ch < 0x7f)
			CHECK_EQ(buf[0], ch);
	}
	print(0, "\xc9\xcd\xbb\xba\xdb\xb0\xda\xc4\xb3\x81");
	vga_text_line(&vga, vram, 0, lines[0]);
	CHECK_STR(lines[0], "+-+|##+-|u");
}

TEST(the_attribute_flip_flop_is_reset_by_status_1)
{
	setup();
	in8(&b, VGA_STATUS1_COLOR);
	out8(&b, VGA_ATTR, 0x10);
	out8(&b, VGA_ATTR, 0x04);
	CHECK_EQ(vga.attr[0x10], 0x04);
	out8(&b, VGA_ATTR, 0x13);
	in8(&b, VGA_STATUS1_COLOR);
	out8(&b, VGA_ATTR, 0x31); /* index again */
	CHECK_EQ(in8(&b, VGA_ATTR), 0x31);
	out8(&b, VGA_ATTR, 0x55);
	CHECK_EQ(in8(&b, VGA_ATTR_READ), 0x55);
	out8(&b, VGA_ATTR, 0x1f); /* past the last register */
	out8(&b, VGA_ATTR, 0xff);
	CHECK_EQ(in8(&b, VGA_ATTR_READ), 0);
}

TEST(the_palette_reads_back_in_triples)
{
	setup();
	out8(&b, VGA_DAC_WRITE, 254);
	for (unsigned i = 0; i < 9; i++) /* wraps from 255 to 0 */
		out8(&b, VGA_DAC_DATA, (u8)(10 + i));
	CHECK_EQ(in8(&b, VGA_DAC_READ), 0);
	out8(&b, VGA_DAC_READ, 254);
	CHECK_EQ(in8(&b, VGA_DAC_READ), 3);
	for (unsigned i = 0; i < 9; i++)
		CHECK_EQ(in8(&b, VGA_DAC_DATA), 10 + i);
	setup();
	out8(&b, VGA_DAC_READ, 0x14); /* EGA brown */
	CHECK_EQ(in8(&b, VGA_DAC_DATA), 0x2a);
	CHECK_EQ(in8(&b, VGA_DAC_DATA), 0x15);
	CHECK_EQ(in8(&b, VGA_DAC_DATA), 0x00);
}

TEST(colour_and_mono_addresses_follow_the_misc_register)
{
	setup();
	CHECK_EQ(in8(&b, VGA_CRTC_MONO), 0xff);
	out8(&b, VGA_CRTC_COLOR, 0x0e);
	CHECK_EQ(in8(&b, VGA_CRTC_COLOR), 0x0e);
	out8(&b, VGA_MISC_WRITE, 0x66);
	CHECK_EQ(in8(&b, VGA_MISC_READ), 0x66);
	CHECK_EQ(in8(&b, VGA_CRTC_COLOR), 0xff);
	CHECK_EQ(in8(&b, VGA_CRTC_MONO), 0x0e);
	CHECK(in8(&b, VGA_STATUS1_MONO) != 0xff);
}

TEST(retrace_comes_seventy_times_a_second)
{
	unsigned frames = 0;
	u8 last = 0;

	setup();
	for (unsigned i = 0; i < 50000; i++) {
		u8 v = in8(&b, VGA_STATUS1_COLOR);

		frames += (v & ~last & VGA_STATUS1_VRETRACE) != 0;
		if (v & VGA_STATUS1_VRETRACE)
			CHECK(v & VGA_STATUS1_BLANK);
		last = v;
		board_run(&b, 20 * NSEC_PER_USEC);
	}
	CHECK_EQ(frames, 70);
}
