/* INT 10h of the guest BIOS, run on the host over an array of memory. Would catch: text lost,
 * doubled or cut on its way to the channel; a line broken where the teletype wraps; a port access
 * per character; scrolling that moves the wrong rows; the cursor written to the chip when nobody
 * waits for it.
 *
 * SRCS: guestbios/rom/text.c tests/unit/guestbios_host.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "../../guestbios/rom/bios16.h"

void int10(struct regs *r);

static void call(u16 ax, u16 bx, u16 cx, u16 dx)
{
	struct regs r = {.ax = ax, .bx = bx, .cx = cx, .dx = dx};

	int10(&r);
}

/* Mode 3, empty screen, nothing collected. */
static void start(void)
{
	host_reset();
	call(0x0003, 0, 0, 0);
	text_sync();
	host_text_len = host_exits = 0;
	host_text[0] = 0;
}

static void tty(const char *s)
{
	for (; *s; s++)
		call(0x0e00 | (u8)*s, 0x0007, 0, 0);
}

static const char *row(unsigned n)
{
	static char text[81];
	unsigned end = 0;

	for (unsigned i = 0; i < 80; i++) {
		text[i] = far_u8(TEXT_SEG, (n * 80 + i) * 2);
		if (text[i] != ' ')
			end = i + 1;
	}
	text[end] = 0;
	return text;
}

TEST(teletype_sends_whole_lines_in_one_exit)
{
	start();
	tty("hello, world\r\n");
	CHECK_STR(host_text, "hello, world\n");
	CHECK_EQ(host_exits, 1);
	CHECK_STR(row(0), "hello, world");
	CHECK_EQ(bda.cursor[0].row, 1);
	CHECK_EQ(bda.cursor[0].col, 0);
}

TEST(unfinished_line_is_sent_once_and_then_continued)
{
	start();
	tty("boot: ");
	CHECK_STR(host_text, "");
	text_sync();
	CHECK_STR(host_text, "boot: ");
	text_sync();
	CHECK_STR(host_text, "boot: ");
	tty("linux\r\n");
	CHECK_STR(host_text, "boot: linux\n");
}

TEST(prompt_comes_without_the_blanks_behind_it)
{
	start();
	tty("grub>                    ");
	call(0x0200, 0, 0, 0x0006);
	text_sync();
	CHECK_STR(host_text, "grub> ");
	tty("ls");
	text_sync();
	CHECK_STR(host_text, "grub> ls");
	tty("\r\n");
	CHECK_STR(host_text, "grub> ls\n");
}

TEST(rewritten_line_is_told_again)
{
	start();
	tty("10%");
	text_sync();
	tty("\r20%\r\n");
	CHECK_STR(host_text, "10%\n20%\n");
}

TEST(unsent_rewriting_shows_the_last_state)
{
	start();
	tty("10%\r20%\r30%\r\n");
	CHECK_STR(host_text, "30%\n");
}

TEST(wrapped_line_stays_one_line)
{
	char want[121];

	start();
	for (int i = 0; i < 120; i++)
		want[i] = 'a' + i % 26;
	want[120] = 0;
	tty(want);
	tty("\r\n");
	CHECK_EQ(host_text_len, 121);
	CHECK(strncmp(host_text, want, 120) == 0);
	CHECK_EQ(host_text[120], '\n');
	CHECK_EQ(bda.cursor[0].row, 2);
}

TEST(empty_lines_are_kept)
{
	start();
	tty("a\r\n\r\nb\r\n");
	CHECK_STR(host_text, "a\n\nb\n");
}

TEST(scrolling_loses_nothing)
{
	char line[32], want[1024] = "";

	start();
	for (int i = 0; i < 40; i++) {
		snprintf(line, sizeof(line), "line %d\r\n", i);
		tty(line);
		snprintf(want + strlen(want), sizeof(want) - strlen(want), "line %d\n", i);
	}
	CHECK_STR(host_text, want);
	CHECK_STR(row(23), "line 39");
	CHECK_STR(row(0), "line 16");
	CHECK_STR(row(24), "");
}

TEST(placed_text_comes_by_row)
{
	start();
	call(0x0200, 0, 0, 0x0205);  /* row 2, column 5 */
	call(0x0900 | 'x', 7, 3, 0); /* xxx */
	call(0x0200, 0, 0, 0x0400);  /* row 4 */
	call(0x0a00 | 'y', 7, 2, 0); /* yy */
	CHECK_STR(host_text, "     xxx\n");
	call(0x0200, 0, 0, 0x0600);
	call(0x0900 | ' ', 7, 80, 0); /* a blank row tells nothing */
	CHECK_STR(host_text, "     xxx\nyy\n");
	call(0x0200, 0, 0, 0x0700);
	call(0x0900 | 'z', 7, 1, 0);
	call(0x0600, 0x0700, 0, 0x184f); /* clear: what was collected goes out first */
	CHECK_STR(host_text, "     xxx\nyy\nz\n");
	CHECK_STR(row(7), "");
}

TEST(string_call_writes_attributes_and_moves_cursor)
{
	struct regs r = {.ax = 0x1303, .bx = 7, .cx = 2, .dx = 0x0304, .es = 0x2000, .ebp = 0x10};
	u8 cells[4] = {'A', 0x1e, 'B', 0x2f};

	start();
	memcpy(&host_mem[0x20010], cells, sizeof(cells));
	int10(&r);
	CHECK_EQ(far_u16(TEXT_SEG, (3 * 80 + 4) * 2), 0x1e41);
	CHECK_EQ(far_u16(TEXT_SEG, (3 * 80 + 5) * 2), 0x2f42);
	CHECK_EQ(bda.cursor[0].col, 6);
	CHECK_EQ(bda.cursor[0].row, 3);
}

TEST(cursor_reaches_the_chip_only_on_sync)
{
	unsigned exits;

	start();
	for (int i = 0; i < 50; i++)
		call(0x0200, 0, 0, i);
	CHECK_EQ(host_exits, 0);
	text_sync();
	exits = host_exits;
	CHECK(exits >= 1 && exits <= 2);
	text_sync();
	CHECK_EQ(host_exits, exits);
}

TEST(windows_scroll_inside_their_borders)
{
	start();
	call(0x0200, 0, 0, 0x0000);
	tty("left");
	call(0x0200, 0, 0, 0x0100);
	tty("LEFT     RIGHT");
	call(0x0601, 0x0700, 0x0000, 0x0103); /* columns 0-3 of rows 0-1 up by one */
	CHECK_STR(row(0), "LEFT");
	CHECK_STR(row(1), "         RIGHT");
	call(0x0701, 0x0700, 0x0000, 0x0103); /* and down again */
	CHECK_STR(row(0), "");
	CHECK_STR(row(1), "LEFT     RIGHT");
}

TEST(rows_off_the_screen_stay_in_text_memory)
{
	start();
	memset(&host_mem[0xc0000], 0x5a, 0x10000);
	call(0x0200, 0x0700, 0, 0xffff);
	call(0x0900 | 'x', 0x0707, 0xffff, 0);
	call(0x1300, 0x0707, 0x0010, 0xff4f);
	for (int i = 0; i < 0x10000; i++)
		if (host_mem[0xc0000 + i] != 0x5a) {
			CHECK_EQ(i, -1);
			break;
		}
}

TEST(no_vesa)
{
	struct regs r = {.ax = 0x4f00};

	start();
	int10(&r);
	CHECK_EQ(r.ax, 0x0100);
}

void log_call(u8 vector, struct regs *r)
{
	(void)vector;
	(void)r;
}
