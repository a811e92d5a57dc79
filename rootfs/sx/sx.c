/* sx [-k] FILE: sends a file by XMODEM over the terminal it runs on (labgrid fetches files so;
 * busybox has only the receiver, rx).
 *
 * Blocks of 128 bytes, or 1024 with -k, with CRC-16 or the older checksum, as the receiver's first
 * byte asks: 'C' or NAK. The last block is filled up with 0x1a: the protocol knows no length.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { SOH = 0x01, STX = 0x02, EOT = 0x04, ACK = 0x06, NAK = 0x15, CAN = 0x18, FILL = 0x1a };

#define SMALL	  128
#define LARGE	  1024
#define START_MS  60000 /* a person starts the receiver by hand */
#define ANSWER_MS 10000
#define TRIES	  10
#define TIMED_OUT (-1)

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static int read_byte(int ms)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	unsigned char c;

	if (ms < 0 || poll(&p, 1, ms) <= 0 || read(STDIN_FILENO, &c, 1) != 1)
		return TIMED_OUT;
	return c;
}

/* The next byte that is one of @any, within @ms; noise is passed over. Two CANs in a row are an
 * end. */
static int await(const char *any, int ms)
{
	long long end = now_ms() + ms;
	int c, before = 0;

	while ((c = read_byte((int)(end - now_ms()))) != TIMED_OUT) {
		if (c == CAN && before == CAN)
			return CAN;
		if (c != CAN && c && strchr(any, c))
			return c;
		before = c;
	}
	return TIMED_OUT;
}

static bool write_all(const uint8_t *data, size_t size)
{
	while (size) {
		ssize_t n = write(STDOUT_FILENO, data, size);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			data += n;
			size -= (size_t)n;
		}
	}
	return true;
}

/* Polynomial x^16 + x^12 + x^5 + 1, start 0, most significant bit first. */
static uint16_t crc16(const uint8_t *data, size_t size)
{
	uint16_t crc = 0;

	while (size--) {
		crc ^= (uint16_t)(*data++ << 8);
		for (int bit = 0; bit < 8; bit++)
			crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
	}
	return crc;
}

static size_t make_frame(uint8_t *frame, uint8_t number, const uint8_t *data, size_t size, bool crc)
{
	size_t n = 3 + size;
	uint8_t sum = 0;

	frame[0] = size == LARGE ? STX : SOH;
	frame[1] = number;
	frame[2] = (uint8_t)~number;
	memcpy(frame + 3, data, size);
	if (crc) {
		uint16_t value = crc16(data, size);

		frame[n++] = (uint8_t)(value >> 8);
		frame[n++] = (uint8_t)value;
	} else {
		for (size_t i = 0; i < size; i++)
			sum = (uint8_t)(sum + data[i]);
		frame[n++] = sum;
	}
	return n;
}

/* NULL, or why the receiver has not got it. */
static const char *send_until_ack(const uint8_t *frame, size_t size)
{
	for (int i = 0; i < TRIES; i++) {
		if (!write_all(frame, size))
			return "the terminal is gone";
		switch (await((const char[]){ACK, NAK, 'C', 0}, ANSWER_MS)) {
		case ACK:
			return NULL;
		case CAN:
			return "the receiver gave up";
		default:
			break;
		}
	}
	return "no acknowledgement";
}

static size_t read_block(int file, uint8_t *block, size_t size, bool *bad)
{
	size_t have = 0;
	ssize_t n;

	while (have < size && (n = read(file, block + have, size - have)) != 0) {
		if (n < 0 && errno != EINTR) {
			*bad = true;
			return 0;
		}
		have += n > 0 ? (size_t)n : 0;
	}
	memset(block + have, FILL, size - have);
	return have;
}

/* @have of @size bytes. A short rest goes into small blocks: less filling. */
static const char *send_block(const uint8_t *block, size_t have, size_t size, uint8_t *number,
			      bool crc)
{
	size_t part = have <= size - SMALL ? SMALL : size;
	uint8_t frame[LARGE + 5];
	const char *wrong = NULL;

	for (size_t at = 0; at < have && !wrong; at += part)
		wrong = send_until_ack(frame,
				       make_frame(frame, (*number)++, block + at, part, crc));
	return wrong;
}

static const char *send_blocks(int file, size_t size, bool crc)
{
	static const uint8_t end[] = {EOT};
	uint8_t block[LARGE], number = 1;
	const char *wrong = NULL;
	bool bad = false;

	for (;;) {
		size_t have = read_block(file, block, size, &bad);

		if (bad)
			return strerror(errno);
		if (have == 0)
			return send_until_ack(end, sizeof(end));
		wrong = send_block(block, have, size, &number, crc);
		if (wrong)
			return wrong;
	}
}

static const char *send_file(int file, size_t size)
{
	int asked = await((const char[]){'C', NAK, 0}, START_MS);

	if (asked == TIMED_OUT)
		return "no receiver within 60 s";
	if (asked == CAN)
		return "the receiver gave up";
	return send_blocks(file, size, asked == 'C');
}

int main(int argc, char **argv)
{
	static const uint8_t cancel[] = {CAN, CAN, CAN, CAN, CAN};
	bool large = argc == 3 && !strcmp(argv[1], "-k");
	struct termios old, raw;
	bool is_terminal;
	const char *wrong;
	int file;

	if (argc != 2 + large) {
		fprintf(stderr,
			"usage: sx [-k] FILE     sends FILE by XMODEM; -k: blocks of 1024 bytes\n");
		return 2;
	}
	file = open(argv[argc - 1], O_RDONLY | O_CLOEXEC);
	if (file < 0) {
		fprintf(stderr, "sx: %s: %s\n", argv[argc - 1], strerror(errno));
		return 1;
	}
	is_terminal = !tcgetattr(STDIN_FILENO, &old);
	raw = old;
	cfmakeraw(&raw);
	if (is_terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	wrong = send_file(file, large ? LARGE : SMALL);
	if (wrong)
		write_all(cancel, sizeof(cancel));
	if (is_terminal) {
		tcdrain(STDOUT_FILENO);
		tcsetattr(STDIN_FILENO, TCSANOW, &old);
	}
	if (wrong)
		fprintf(stderr, "\nsx: %s: not sent: %s\n", argv[argc - 1], wrong);
	return wrong != NULL;
}
