/* IDE channels that firmware has left off.
 *
 * The IDE function of PIIX3 and PIIX4 decodes a channel's ports only while bit 15 of its timing
 * register is set. Firmware that drives disks itself sets it for all; firmware that starts no more
 * than it boots from (OVMF) leaves the others off, and the kernel's driver takes a channel that is
 * off for one that is not there. These chips are the only IDE on their boards, so that nothing else
 * can be meant to answer at those ports: a channel without disks is found empty.
 *
 * SPDX-License-Identifier: MIT
 */
#include "init.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#define VENDOR_INTEL 0x8086
#define DEVICE_PIIX3 0x7010
#define DEVICE_PIIX4 0x7111

/* Configuration space */
#define PCI_VENDOR    0x00
#define PCI_DEVICE    0x02
#define PCI_COMMAND   0x04
#define COMMAND_IO    0x01
#define IDETIM	      0x40 /* two words: primary, secondary */
#define IDETIM_DECODE 0x8000
#define CHANNELS      2

#define PCI_DEVICES "/sys/bus/pci/devices"

static uint16_t read16(int fd, off_t at)
{
	uint8_t b[2] = {0xff, 0xff};

	return pread(fd, b, sizeof(b), at) == sizeof(b) ? (uint16_t)(b[0] | b[1] << 8) : UINT16_MAX;
}

static bool write16(int fd, off_t at, uint16_t v)
{
	const uint8_t b[2] = {(uint8_t)v, (uint8_t)(v >> 8)};

	return pwrite(fd, b, sizeof(b), at) == sizeof(b);
}

/* A function that decodes no ports at all is off on purpose. */
static bool is_working_piix(int fd)
{
	uint16_t device = read16(fd, PCI_DEVICE);

	return read16(fd, PCI_VENDOR) == VENDOR_INTEL &&
	       (device == DEVICE_PIIX3 || device == DEVICE_PIIX4) &&
	       (read16(fd, PCI_COMMAND) & COMMAND_IO);
}

unsigned piix_switch_on(int fd)
{
	unsigned on = 0;

	if (!is_working_piix(fd))
		return 0;
	for (unsigned n = 0; n < CHANNELS; n++) {
		uint16_t timing = read16(fd, IDETIM + 2 * n);

		if (!(timing & IDETIM_DECODE) &&
		    write16(fd, IDETIM + 2 * n, timing | IDETIM_DECODE))
			on |= 1u << n;
	}
	return on;
}

static void look(const char *function)
{
	static const char *const name[] = {"", "primary IDE channel", "secondary IDE channel",
					   "both IDE channels"};
	char path[300];
	unsigned on;
	int fd;

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/config", function);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	on = piix_switch_on(fd);
	close(fd);
	if (on)
		note("init: %s: switched on what firmware had left off: %s", function, name[on]);
}

void piix_coldplug(void)
{
	DIR *dir = opendir(PCI_DEVICES);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			look(e->d_name);
	if (dir)
		closedir(dir);
}
