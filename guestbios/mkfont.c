/* Host tool: writes the BIOS's fonts. mkfont 8x8.bin 8x16.bin
 *
 * Letters are drawn 5x7; the 8x16 font stretches the same rows. Lines and blocks of code page 437
 * are computed. What is drawn nowhere is a small box.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Rows from top to bottom, bit 4 is the left pixel. */
static const uint8_t letters[0x60][7] = {
	[' ' - 32] = {0, 0, 0, 0, 0, 0, 0},	   ['!' - 32] = {4, 4, 4, 4, 4, 0, 4},
	['"' - 32] = {10, 10, 10, 0, 0, 0, 0},	   ['#' - 32] = {10, 10, 31, 10, 31, 10, 10},
	['$' - 32] = {4, 15, 20, 14, 5, 30, 4},	   ['%' - 32] = {24, 25, 2, 4, 8, 19, 3},
	['&' - 32] = {12, 18, 20, 8, 21, 18, 13},  ['\'' - 32] = {4, 4, 8, 0, 0, 0, 0},
	['(' - 32] = {2, 4, 8, 8, 8, 4, 2},	   [')' - 32] = {8, 4, 2, 2, 2, 4, 8},
	['*' - 32] = {0, 4, 21, 14, 21, 4, 0},	   ['+' - 32] = {0, 4, 4, 31, 4, 4, 0},
	[',' - 32] = {0, 0, 0, 0, 12, 4, 8},	   ['-' - 32] = {0, 0, 0, 31, 0, 0, 0},
	['.' - 32] = {0, 0, 0, 0, 0, 12, 12},	   ['/' - 32] = {0, 1, 2, 4, 8, 16, 0},
	['0' - 32] = {14, 17, 19, 21, 25, 17, 14}, ['1' - 32] = {4, 12, 4, 4, 4, 4, 14},
	['2' - 32] = {14, 17, 1, 2, 4, 8, 31},	   ['3' - 32] = {31, 2, 4, 2, 1, 17, 14},
	['4' - 32] = {2, 6, 10, 18, 31, 2, 2},	   ['5' - 32] = {31, 16, 30, 1, 1, 17, 14},
	['6' - 32] = {6, 8, 16, 30, 17, 17, 14},   ['7' - 32] = {31, 1, 2, 4, 8, 8, 8},
	['8' - 32] = {14, 17, 17, 14, 17, 17, 14}, ['9' - 32] = {14, 17, 17, 15, 1, 2, 12},
	[':' - 32] = {0, 12, 12, 0, 12, 12, 0},	   [';' - 32] = {0, 12, 12, 0, 12, 4, 8},
	['<' - 32] = {2, 4, 8, 16, 8, 4, 2},	   ['=' - 32] = {0, 0, 31, 0, 31, 0, 0},
	['>' - 32] = {8, 4, 2, 1, 2, 4, 8},	   ['?' - 32] = {14, 17, 1, 2, 4, 0, 4},
	['@' - 32] = {14, 17, 23, 21, 23, 16, 14}, ['A' - 32] = {14, 17, 17, 31, 17, 17, 17},
	['B' - 32] = {30, 17, 17, 30, 17, 17, 30}, ['C' - 32] = {14, 17, 16, 16, 16, 17, 14},
	['D' - 32] = {28, 18, 17, 17, 17, 18, 28}, ['E' - 32] = {31, 16, 16, 30, 16, 16, 31},
	['F' - 32] = {31, 16, 16, 30, 16, 16, 16}, ['G' - 32] = {14, 17, 16, 23, 17, 17, 15},
	['H' - 32] = {17, 17, 17, 31, 17, 17, 17}, ['I' - 32] = {14, 4, 4, 4, 4, 4, 14},
	['J' - 32] = {7, 2, 2, 2, 2, 18, 12},	   ['K' - 32] = {17, 18, 20, 24, 20, 18, 17},
	['L' - 32] = {16, 16, 16, 16, 16, 16, 31}, ['M' - 32] = {17, 27, 21, 21, 17, 17, 17},
	['N' - 32] = {17, 17, 25, 21, 19, 17, 17}, ['O' - 32] = {14, 17, 17, 17, 17, 17, 14},
	['P' - 32] = {30, 17, 17, 30, 16, 16, 16}, ['Q' - 32] = {14, 17, 17, 17, 21, 18, 13},
	['R' - 32] = {30, 17, 17, 30, 20, 18, 17}, ['S' - 32] = {15, 16, 16, 14, 1, 1, 30},
	['T' - 32] = {31, 4, 4, 4, 4, 4, 4},	   ['U' - 32] = {17, 17, 17, 17, 17, 17, 14},
	['V' - 32] = {17, 17, 17, 17, 17, 10, 4},  ['W' - 32] = {17, 17, 17, 21, 21, 21, 10},
	['X' - 32] = {17, 17, 10, 4, 10, 17, 17},  ['Y' - 32] = {17, 17, 17, 10, 4, 4, 4},
	['Z' - 32] = {31, 1, 2, 4, 8, 16, 31},	   ['[' - 32] = {14, 8, 8, 8, 8, 8, 14},
	['\\' - 32] = {0, 16, 8, 4, 2, 1, 0},	   [']' - 32] = {14, 2, 2, 2, 2, 2, 14},
	['^' - 32] = {4, 10, 17, 0, 0, 0, 0},	   ['_' - 32] = {0, 0, 0, 0, 0, 0, 31},
	['`' - 32] = {8, 4, 2, 0, 0, 0, 0},	   ['a' - 32] = {0, 0, 14, 1, 15, 17, 15},
	['b' - 32] = {16, 16, 22, 25, 17, 17, 30}, ['c' - 32] = {0, 0, 14, 16, 16, 17, 14},
	['d' - 32] = {1, 1, 13, 19, 17, 17, 15},   ['e' - 32] = {0, 0, 14, 17, 31, 16, 14},
	['f' - 32] = {6, 9, 8, 28, 8, 8, 8},	   ['g' - 32] = {0, 15, 17, 17, 15, 1, 14},
	['h' - 32] = {16, 16, 22, 25, 17, 17, 17}, ['i' - 32] = {4, 0, 12, 4, 4, 4, 14},
	['j' - 32] = {2, 0, 6, 2, 2, 18, 12},	   ['k' - 32] = {16, 16, 18, 20, 24, 20, 18},
	['l' - 32] = {12, 4, 4, 4, 4, 4, 14},	   ['m' - 32] = {0, 0, 26, 21, 21, 17, 17},
	['n' - 32] = {0, 0, 22, 25, 17, 17, 17},   ['o' - 32] = {0, 0, 14, 17, 17, 17, 14},
	['p' - 32] = {0, 0, 30, 17, 30, 16, 16},   ['q' - 32] = {0, 0, 13, 19, 15, 1, 1},
	['r' - 32] = {0, 0, 22, 25, 16, 16, 16},   ['s' - 32] = {0, 0, 14, 16, 14, 1, 30},
	['t' - 32] = {8, 8, 28, 8, 8, 9, 6},	   ['u' - 32] = {0, 0, 17, 17, 17, 19, 13},
	['v' - 32] = {0, 0, 17, 17, 17, 10, 4},	   ['w' - 32] = {0, 0, 17, 17, 21, 21, 10},
	['x' - 32] = {0, 0, 17, 10, 4, 10, 17},	   ['y' - 32] = {0, 0, 17, 17, 15, 1, 14},
	['z' - 32] = {0, 0, 31, 2, 4, 8, 31},	   ['{' - 32] = {2, 4, 4, 8, 4, 4, 2},
	['|' - 32] = {4, 4, 4, 4, 4, 4, 4},	   ['}' - 32] = {8, 4, 4, 2, 4, 4, 8},
	['~' - 32] = {0, 0, 8, 21, 2, 0, 0},	   [127 - 32] = {0, 4, 10, 17, 17, 31, 0},
};

/* Arms of a line character, two bits each (1 single, 2 double): up, down, left, right. */
#define ARMS(u, d, l, r) ((u) | (d) << 2 | (l) << 4 | (r) << 6)
static const uint8_t lines[0xdb - 0xb3] = {
	[0xb3 - 0xb3] = ARMS(1, 1, 0, 0), [0xb4 - 0xb3] = ARMS(1, 1, 1, 0),
	[0xb5 - 0xb3] = ARMS(1, 1, 2, 0), [0xb6 - 0xb3] = ARMS(2, 2, 1, 0),
	[0xb7 - 0xb3] = ARMS(0, 2, 1, 0), [0xb8 - 0xb3] = ARMS(0, 1, 2, 0),
	[0xb9 - 0xb3] = ARMS(2, 2, 2, 0), [0xba - 0xb3] = ARMS(2, 2, 0, 0),
	[0xbb - 0xb3] = ARMS(0, 2, 2, 0), [0xbc - 0xb3] = ARMS(2, 0, 2, 0),
	[0xbd - 0xb3] = ARMS(2, 0, 1, 0), [0xbe - 0xb3] = ARMS(1, 0, 2, 0),
	[0xbf - 0xb3] = ARMS(0, 1, 1, 0), [0xc0 - 0xb3] = ARMS(1, 0, 0, 1),
	[0xc1 - 0xb3] = ARMS(1, 0, 1, 1), [0xc2 - 0xb3] = ARMS(0, 1, 1, 1),
	[0xc3 - 0xb3] = ARMS(1, 1, 0, 1), [0xc4 - 0xb3] = ARMS(0, 0, 1, 1),
	[0xc5 - 0xb3] = ARMS(1, 1, 1, 1), [0xc6 - 0xb3] = ARMS(1, 1, 0, 2),
	[0xc7 - 0xb3] = ARMS(2, 2, 0, 1), [0xc8 - 0xb3] = ARMS(2, 0, 0, 2),
	[0xc9 - 0xb3] = ARMS(0, 2, 0, 2), [0xca - 0xb3] = ARMS(2, 0, 2, 2),
	[0xcb - 0xb3] = ARMS(0, 2, 2, 2), [0xcc - 0xb3] = ARMS(2, 2, 0, 2),
	[0xcd - 0xb3] = ARMS(0, 0, 2, 2), [0xce - 0xb3] = ARMS(2, 2, 2, 2),
	[0xcf - 0xb3] = ARMS(1, 0, 2, 2), [0xd0 - 0xb3] = ARMS(2, 0, 1, 1),
	[0xd1 - 0xb3] = ARMS(0, 1, 2, 2), [0xd2 - 0xb3] = ARMS(0, 2, 1, 1),
	[0xd3 - 0xb3] = ARMS(2, 0, 0, 1), [0xd4 - 0xb3] = ARMS(1, 0, 0, 2),
	[0xd5 - 0xb3] = ARMS(0, 1, 0, 2), [0xd6 - 0xb3] = ARMS(0, 2, 0, 1),
	[0xd7 - 0xb3] = ARMS(2, 2, 1, 1), [0xd8 - 0xb3] = ARMS(1, 1, 2, 2),
	[0xd9 - 0xb3] = ARMS(1, 0, 1, 0), [0xda - 0xb3] = ARMS(0, 1, 0, 1),
};

/* Stretch 7 rows to a cell: 8x8 as they are, 8x16 doubled with two rows of air above. */
static void draw_letter(uint8_t *cell, int height, const uint8_t rows[7])
{
	for (int i = 0; i < 7; i++) {
		uint8_t row = rows[i] << 2;

		if (height == 8) {
			cell[i] = row;
		} else {
			cell[1 + i * 2 - (i > 5)] = row;
			cell[1 + i * 2 - (i > 5) + 1] = row;
		}
	}
}

static void draw_lines(uint8_t *cell, int height, uint8_t arms)
{
	static const uint8_t bars[3] = {0, 0x18, 0x24};
	int middle = height / 2 - 1, left = arms >> 4 & 3, right = arms >> 6;

	for (int y = 0; y < height; y++)
		cell[y] |= bars[y <= middle ? arms & 3 : arms >> 2 & 3];
	if (left)
		cell[middle] |= 0xf8;
	if (right)
		cell[middle] |= 0x1f;
	if (left == 2)
		cell[middle + 2] |= 0xf8;
	if (right == 2)
		cell[middle + 2] |= 0x1f;
}

static void draw_block(uint8_t *cell, int height, int code)
{
	for (int y = 0; y < height; y++) {
		switch (code) {
		case 0xb0:
			cell[y] = y & 1 ? 0x88 : 0x22;
			break;
		case 0xb1:
			cell[y] = y & 1 ? 0xaa : 0x55;
			break;
		case 0xb2:
			cell[y] = y & 1 ? 0x77 : 0xdd;
			break;
		case 0xdb:
			cell[y] = 0xff;
			break;
		case 0xdc:
			cell[y] = y >= height / 2 ? 0xff : 0;
			break;
		case 0xdd:
			cell[y] = 0xf0;
			break;
		case 0xde:
			cell[y] = 0x0f;
			break;
		case 0xdf:
			cell[y] = y < height / 2 ? 0xff : 0;
			break;
		}
	}
}

static void draw(uint8_t *cell, int height, int code)
{
	static const uint8_t box[7] = {0, 31, 17, 17, 17, 31, 0};

	memset(cell, 0, height);
	if (code >= 0x20 && code < 0x80)
		draw_letter(cell, height, letters[code - 0x20]);
	else if (code >= 0xb3 && code <= 0xda)
		draw_lines(cell, height, lines[code - 0xb3]);
	else if ((code >= 0xb0 && code < 0xb3) || (code >= 0xdb && code <= 0xdf))
		draw_block(cell, height, code);
	else if (code != 0 && code != 0xff)
		draw_letter(cell, height, box);
}

static int write_font(const char *path, int height)
{
	uint8_t cell[16];
	FILE *f = fopen(path, "wb");
	int ok = f != NULL;

	for (int code = 0; ok && code < 256; code++) {
		draw(cell, height, code);
		ok = fwrite(cell, height, 1, f) == 1;
	}
	if (f)
		ok &= fclose(f) == 0;
	if (!ok)
		perror(path);
	return ok;
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: mkfont 8x8.bin 8x16.bin\n");
		return 2;
	}
	return !(write_font(argv[1], 8) && write_font(argv[2], 16));
}
