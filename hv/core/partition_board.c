/* A guest's board: how it is made from the config, and what it tells: serial and screen output,
 * the BIOS's words, ROM segments.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/cpu.h"
#include "core/ctl.h"
#include "core/hv.h"
#include "core/log.h"
#include "core/media.h"
#include "core/partition_int.h"
#include "core/partition_paging.h"
#include "core/report.h"
#include "lib/str.h"
#include "mem/hostmap.h"
#include "paging/paging.h"
#include "penumbra/platform.h"

#define BIOS_LINE_OVERHEAD 32 /* of a line of the BIOS's log: prefixes, line end */

static void watch_line(struct partition *p, struct line_watch *w, const char *buf, unsigned n)
{
	static const char not_ok[] = "not ok", fail[] = "FAIL:";

	for (unsigned i = 0; i < n; i++) {
		char c = buf[i];

		if (c == '\n' || c == '\r') {
			*w = (struct line_watch){0};
			continue;
		}
		if (w->at == w->not_ok && w->not_ok < sizeof(not_ok) - 1 && c == not_ok[w->at])
			w->not_ok++;
		if (w->at == w->fail && w->fail < sizeof(fail) - 1 && c == fail[w->at])
			w->fail++;
		if (w->at < sizeof(not_ok))
			w->at++;
		if (w->not_ok == sizeof(not_ok) - 1 || w->fail == sizeof(fail) - 1)
			p->said_not_ok = true;
	}
}

static void board_uart_tx(void *ctx, const u8 *buf, unsigned n)
{
	struct partition *p = ctx;

	watch_line(p, &p->watch_serial, (const char *)buf, n);
	log_write(p->src_serial, (const char *)buf, n);
	ctl_output(p->index, false, (const char *)buf, n);
}

static bool board_uart_room(void *ctx)
{
	const struct partition *p = ctx;

	return log_room(p->src_serial);
}

static void board_bios_text(void *ctx, const char *buf, unsigned n)
{
	struct partition *p = ctx;

	watch_line(p, &p->watch_vga, buf, n);
	log_write(p->src_vga, buf, n);
	ctl_output(p->index, true, buf, n);
	partition_hold_back(p);
}

static void end_bios_line(struct partition *p)
{
	if (p->bios_len) {
		hv_log(LOG_INFO, "%s bios: %.*s", p->cfg.name, (int)p->bios_len, p->bios_line);
		log_charge(p->src_vga, p->bios_len + BIOS_LINE_OVERHEAD);
	}
	p->bios_len = 0;
}

static void board_bios_log(void *ctx, const char *buf, unsigned n)
{
	struct partition *p = ctx;

	for (unsigned i = 0; i < n; i++) {
		if (buf[i] == '\n' || buf[i] == '\r')
			end_bios_line(p);
		else
			p->bios_line[p->bios_len++] = buf[i];
		if (p->bios_len == sizeof(p->bios_line))
			end_bios_line(p);
	}
	partition_hold_back(p);
}

static u64 exits_so_far(const struct partition *p)
{
	u64 sum = 0;

	for (unsigned i = 0; i < EXIT_REASONS; i++)
		sum += p->exits.count[i];
	return sum;
}

static void board_bios_event(void *ctx, unsigned event)
{
	struct partition *p = ctx;
	char detail[64];

	switch (event) {
	case BIOS_EVENT_POST:
		partition_post_began(p);
		break;
	case BIOS_EVENT_BOOT:
		snprintf(detail, sizeof(detail), "boot after %llu exits",
			 (unsigned long long)exits_so_far(p));
		report_guest(p, "bios", detail);
		break;
	case BIOS_EVENT_NO_BOOT:
		report_guest(p, "bios", "no bootable device");
		break;
	case BIOS_EVENT_POWER_OFF:
		p->ops->machine_event(p, MACHINE_POWER_OFF, 0);
		break;
	}
	partition_hold_back(p);
}

/* PAM: a segment whose writes go to RAM is RAM; else it is read-only. Its contents are the ROM's
 * copy either way, as after the usual shadowing. */
static void board_pam(void *ctx, gpa_t base, u32 len, unsigned attr)
{
	struct partition *p = ctx;

	p2m_set_low_kind(&p->p2m, base, len, attr & PAM_WRITE ? P2M_RAM : P2M_ROM);
	partition_low_changed(p, base, len);
	p->vcpu.paging->flush(&p->vcpu);
}

static void board_wake(void *ctx)
{
	struct partition *p = ctx;

	if (p->vcpu.state == VCPU_HALTED)
		this_cpu()->attention = true;
}

static void board_cpu_init(void *ctx)
{
	struct partition *p = ctx;

	p->ops->machine_event(p, MACHINE_RESET_8042, 0);
}

static const struct pc_ops board_ops = {
	.wake = board_wake,
	.cpu_init = board_cpu_init,
	.pam = board_pam,
	.uart_tx = board_uart_tx,
	.uart_tx_room = board_uart_room,
	.bios_text = board_bios_text,
	.bios_log = board_bios_log,
	.bios_event = board_bios_event,
};

int partition_build_board(struct partition *p)
{
	struct pc_config c = {
		.name = p->cfg.name,
		.low_ram = p->p2m.low_bytes,
		.high_ram = p->p2m.high_bytes,
		.ncpus = 1,
		.tsc_khz = p->tsc_khz,
		.cdrom = media_blk(p, 0),
		.disk = media_blk(p, 1),
		.disk_model = p->cfg.disk_model,
		.nic_model = p->cfg.nic_model,
		.floppy = media_blk(p, 2),
		.nic = media_nic(p),
		.vga = p->cfg.vga,
		.serial = p->cfg.serial_mux,
		.vram = (const u8 *)hpa_va(p->p2m.chunk[0]) + PC_VGA_TEXT_BASE,
		.x2apic = true,
		.tsc_deadline = true,
		.phys_bits = p->phys_bits,
		.ops = &board_ops,
		.ctx = p,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(c.boot); i++)
		c.boot[i] = (u8)p->cfg.boot[i];
	memcpy(c.uuid, "PNB-GUEST-", 10);
	c.uuid[15] = (u8)p->index;
	hv_wall_clock(&c.time.year, &c.time.month, &c.time.day, &c.time.hour, &c.time.min,
		      &c.time.sec);
	p->uart = p->cfg.serial_mux ? &p->pc.uart : NULL;
	return pc_init(&p->pc, &p->host, &c);
}
