/* The line: a serial port, socket, pipe or file.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PNCOLLECT_INPUT_H
#define PNCOLLECT_INPUT_H

#include "penumbra/types.h"

struct input {
	int fd;
	bool duplex; /* the hypervisor can hear us */
	bool whole;  /* a file: everything is there already */
};

/* Open @where: a device, FIFO or file by its path, "-" for standard input, unix:PATH,
 * tcp:HOST:PORT. A serial port is set to @baud 8N1, raw, no flow control, and locked. Sockets are
 * tried for
 * @wait_s seconds. Returns 0, or a negative error number after a message. */
int input_open(struct input *in, const char *where, unsigned baud, unsigned wait_s);
/* Write all of @buf, waiting at most a second: 0 or a negative error number. */
int input_write(const struct input *in, const void *buf, size_t n);

#endif
