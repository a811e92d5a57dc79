/* The channel's PCI function through uio_pci_generic: found in sysfs, registers through resource0,
 * interrupts through /dev/uioN.
 *
 * The kernel turns the function's INTx off by its COMMAND register at each interrupt; we turn it on
 * again there when ISR is clear.
 *
 * SPDX-License-Identifier: MIT
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../lib/modprobe.h"
#include "../lib/say.h"
#include "transport.h"

#define PCI_DEVICES "/sys/bus/pci/devices"
#define UIO_DRIVER  "/sys/bus/pci/drivers/uio_pci_generic"

#define PCI_COMMAND	     4
#define COMMAND_MASTER	     0x0004u
#define COMMAND_INTX_DISABLE 0x0400u

struct uio {
	char dir[300]; /* of the function in sysfs */
	int config_fd;
	u16 command; /* as it is while interrupts are let through */
	volatile u32 *regs;
};

static u32 sysfs_hex(const char *dir, const char *name)
{
	char path[400], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	return (u32)strtoul(text, NULL, 16);
}

static int find_function(struct uio *u)
{
	DIR *d = opendir(PCI_DEVICES);
	struct dirent *e;
	int rc = -ENODEV;

	if (!d)
		return -errno;
	while (rc && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(u->dir, sizeof(u->dir), PCI_DEVICES "/%s", e->d_name);
		if (sysfs_hex(u->dir, "vendor") == CHAN_PCI_VENDOR &&
		    sysfs_hex(u->dir, "device") == CHAN_PCI_DEVICE)
			rc = 0;
	}
	closedir(d);
	return rc;
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

/* Number of the function's UIO device, or -errno. */
static int uio_number(const struct uio *u)
{
	char path[400];
	struct dirent *e;
	int n = -ENODEV;
	DIR *d;

	snprintf(path, sizeof(path), "%s/uio", u->dir);
	d = opendir(path);
	if (!d)
		return -errno;
	while (n < 0 && (e = readdir(d)))
		sscanf(e->d_name, "uio%d", &n);
	closedir(d);
	return n;
}

static int bind_driver(const struct uio *u)
{
	char id[32];
	int rc;

	if (uio_number(u) >= 0)
		return 0;
	if (access(UIO_DRIVER, F_OK))
		modprobe("uio_pci_generic");
	snprintf(id, sizeof(id), "%x %x", CHAN_PCI_VENDOR, CHAN_PCI_DEVICE);
	rc = write_text(UIO_DRIVER "/new_id", id);
	if (rc && rc != -EEXIST)
		return rc;
	if (uio_number(u) < 0) /* the id was known, but the function was unbound */
		write_text(UIO_DRIVER "/bind", strrchr(u->dir, '/') + 1);
	rc = uio_number(u);
	return rc < 0 ? rc : 0;
}

/* devtmpfs makes the node a little after sysfs shows the device. */
static int open_node(int number)
{
	static const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
	char path[32];
	int fd = -1;

	snprintf(path, sizeof(path), "/dev/uio%d", number);
	for (int tries = 0; fd < 0 && tries < 50; tries++) {
		fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0 && errno != ENOENT)
			break;
		if (fd < 0)
			nanosleep(&pause, NULL);
	}
	return fd < 0 ? -errno : fd;
}

static int map_registers(struct uio *u)
{
	char path[400];
	void *p;
	int fd;

	snprintf(path, sizeof(path), "%s/resource0", u->dir);
	fd = open(path, O_RDWR | O_CLOEXEC | O_SYNC);
	if (fd < 0)
		return -errno;
	p = mmap(NULL, CHAN_BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return -errno;
	u->regs = p;
	snprintf(path, sizeof(path), "%s/config", u->dir);
	u->config_fd = open(path, O_RDWR | O_CLOEXEC);
	return u->config_fd < 0 ? -errno : 0;
}

/* Bus mastering is the leave to use the area; the kernel takes it back when we die. */
static int command_begin(struct uio *u)
{
	if (pread(u->config_fd, &u->command, 2, PCI_COMMAND) != 2)
		return -EIO;
	u->command = (u16)((u->command & ~COMMAND_INTX_DISABLE) | COMMAND_MASTER);
	return pwrite(u->config_fd, &u->command, 2, PCI_COMMAND) == 2 ? 0 : -EIO;
}

static int uio_open(struct transport *t)
{
	struct uio *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return -ENOMEM;
	t->priv = u;
	t->irq_fd = -1;
	rc = find_function(u);
	if (rc) {
		say("no PCI function %04x:%04x: is this Penumbra's control partition?",
		    CHAN_PCI_VENDOR, CHAN_PCI_DEVICE);
		return rc;
	}
	rc = bind_driver(u);
	if (rc) {
		say("uio_pci_generic does not take %s: %s", u->dir, strerror(-rc));
		return rc;
	}
	rc = open_node(uio_number(u));
	if (rc < 0) {
		say("/dev/uio%d: %s", uio_number(u), strerror(-rc));
		return rc;
	}
	t->irq_fd = rc;
	rc = map_registers(u);
	if (!rc)
		rc = command_begin(u);
	if (rc)
		say("cannot use %s: %s", u->dir, strerror(-rc));
	return rc;
}

static int uio_map_area(struct transport *t)
{
	int rc = -ENOMEM;

	for (unsigned n = t->want_pages; rc && n >= 2; n--) {
		rc = hugepages_map(n, &t->area);
		t->npages = rc ? 0 : n;
	}
	if (rc)
		say("no 2 MiB pages for the channel: %s", strerror(-rc));
	return rc;
}

static u64 uio_page_address(struct transport *t, unsigned i)
{
	return hugepages_address(t->area + (size_t)i * CHAN_PAGE_SIZE);
}

static u32 uio_reg_read(struct transport *t, u32 reg)
{
	struct uio *u = t->priv;

	return u->regs[reg / 4];
}

static void uio_reg_write(struct transport *t, u32 reg, u32 value)
{
	struct uio *u = t->priv;

	u->regs[reg / 4] = value;
}

static void uio_irq_taken(struct transport *t)
{
	u32 count;
	ssize_t n = read(t->irq_fd, &count, sizeof(count));

	(void)n; /* whatever the count is: ISR says what happened */
}

static void uio_irq_enable(struct transport *t)
{
	struct uio *u = t->priv;
	ssize_t n = pwrite(u->config_fd, &u->command, 2, PCI_COMMAND);

	(void)n; /* it went well before */
}

static void uio_close(struct transport *t)
{
	struct uio *u = t->priv;

	if (!u)
		return;
	if (u->regs)
		munmap((void *)(uintptr_t)u->regs, CHAN_BAR_SIZE);
	if (u->config_fd > 0)
		close(u->config_fd);
	if (t->irq_fd >= 0)
		close(t->irq_fd);
	free(u);
	t->priv = NULL;
}

const struct transport_ops transport_uio = {
	.name = "uio",
	.open = uio_open,
	.map_area = uio_map_area,
	.page_address = uio_page_address,
	.reg_read = uio_reg_read,
	.reg_write = uio_reg_write,
	.irq_taken = uio_irq_taken,
	.irq_enable = uio_irq_enable,
	.close = uio_close,
};
