/* The config parser on arbitrary files: what it accepts is in range, what it reports has a line of
 * the file, and a guest it takes as good, written out as text, is read back the same.
 *
 * SPDX-License-Identifier: MIT
 * SRCS: hv/core/config.c hv/core/cmdline.c hv/core/ini.c hv/core/nearest.c hv/lib/str.c
 */
#include "fuzz.h"

#include "core/config.h"

struct seen {
	unsigned reports, lines;
};

static void report(void *ctx, const char *file, unsigned line, const char *guest, const char *key,
		   const char *message)
{
	struct seen *seen = ctx;

	(void)guest;
	(void)key;
	MUST(!strcmp(file, "f"));
	MUST(line >= 1 && line <= seen->lines);
	MUST(strlen(message) > 10 && strlen(message) < 256);
	seen->reports++;
}

static void check_media(const struct media *m)
{
	MUST(m->kind <= MEDIA_DEV);
	MUST(memchr(m->path, '\0', sizeof(m->path)));
	MUST((m->kind == MEDIA_NONE) == !*m->path);
	MUST(!strpbrk(m->path, " \t\r\n"));
}

static void check_nic(const char *nic, size_t size)
{
	MUST(memchr(nic, '\0', size));
	MUST(!strpbrk(nic, " \t\r\n"));
	MUST(!strcmp(nic, "none") || !strcmp(nic, "switch") ||
	     (!strncmp(nic, "bridge:", 7) && nic[7]));
}

static void check_guest(const struct guest_config *g)
{
	unsigned seen = 0;

	MUST(!config_name_error(g->name));
	MUST(g->memory >= MIB && g->memory <= 1024 * GIB && g->memory % MIB == 0);
	MUST(g->cpus >= 1 && g->cpus <= 255);
	MUST(g->paging < PAGING_KINDS);
	check_media(&g->cdrom);
	check_media(&g->disk);
	check_media(&g->floppy);
	MUST(g->boot[0] != ORDER_NONE && g->boot[3] == ORDER_NONE);
	for (unsigned i = 0; i < 3; i++) {
		MUST(g->boot[i] <= ORDER_FLOPPY);
		MUST(g->boot[i] == ORDER_NONE || !(seen & 1u << g->boot[i]));
		seen |= 1u << g->boot[i];
	}
	check_nic(g->nic, sizeof(g->nic));
	MUST(g->disk_model <= DISK_VIRTIO && g->nic_model <= NIC_VIRTIO);
	MUST(g->line >= 1);
}

static size_t write_media(char *text, size_t size, const char *key, const struct media *m)
{
	static const char *const kind[] = {"none", "module:", "file:", "dev:"};

	return (size_t)snprintf(text, size, "%s = %s%s\n", key, kind[m->kind], m->path);
}

static size_t write_guest(char *text, size_t size, const struct guest_config *g)
{
	static const char *const device[] = {"", "cdrom", "disk", "floppy"};
	size_t n = (size_t)snprintf(
		text, size,
		"[guest %s]\nmemory = %lluM\ncpus = %u\nserial=%s\nvga=%s\nstart=%s\non_exit=%s\n"
		"timeout = %llums\n",
		g->name, (unsigned long long)(g->memory / MIB), g->cpus,
		g->serial_mux ? "mux" : "none", g->vga ? "on" : "off", g->start ? "yes" : "no",
		g->on_exit == ON_EXIT_STOP ? "stop" : "restart",
		(unsigned long long)(g->timeout_ns / NSEC_PER_MSEC));

	if (g->paging_set)
		n += (size_t)snprintf(text + n, size - n, "paging = %s\n",
				      paging_kind_name[g->paging]);
	n += write_media(text + n, size - n, "cdrom", &g->cdrom);
	n += write_media(text + n, size - n, "disk", &g->disk);
	n += write_media(text + n, size - n, "floppy", &g->floppy);
	n += (size_t)snprintf(text + n, size - n, "nic = %s\ndisk_model = %s\nnic_model = %s\n",
			      g->nic, g->disk_model == DISK_VIRTIO ? "virtio" : "ide",
			      g->nic_model == NIC_VIRTIO ? "virtio" : "rtl8139");
	n += (size_t)snprintf(text + n, size - n, "boot = ");
	for (unsigned i = 0; g->boot[i] != ORDER_NONE; i++)
		n += (size_t)snprintf(text + n, size - n, "%s%s", i ? "," : "", device[g->boot[i]]);
	return n;
}

static void check_round_trip(const struct guest_config *g)
{
	static struct config again;
	char text[2048], text_again[2048];
	size_t n = write_guest(text, sizeof(text), g);

	config_parse(&again, "f", text, n, NULL);
	MUST(again.errors == 0 && again.nguests == 1);
	MUST(again.guest[0].paging_set == g->paging_set);
	write_guest(text_again, sizeof(text_again), &again.guest[0]);
	MUST(!strcmp(text, text_again));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct config c;
	struct seen seen = {0, 1};
	const struct config_report rep = {report, &seen};

	for (size_t i = 0; i < size; i++)
		seen.lines += data[i] == '\n';
	config_parse(&c, "f", (const char *)data, size, &rep);
	MUST(seen.reports == MIN(c.errors, 64));
	MUST(c.nguests <= CONFIG_MAX_GUESTS);
	MUST(!c.control_memory || (c.control_memory >= 32 * MIB && c.control_memory <= 1024 * GIB));
	for (unsigned i = 0; i < c.nguests; i++) {
		check_guest(&c.guest[i]);
		for (unsigned j = 0; j < i; j++)
			MUST(strcmp(c.guest[i].name, c.guest[j].name) != 0);
		MUST(!c.guest[i].bad || c.errors);
		if (!c.guest[i].bad)
			check_round_trip(&c.guest[i]);
	}
	return 0;
}
