/* BIOS channel. Would catch: items read past their end, text lost or reordered, hostile disk
 * requests that reach outside the medium or guest RAM, status written late or not at all,
 * completions after a reset.
 *
 * SRCS: hv/dev/bioschan.c hv/dev/blk_ram.c hv/dev/bus.c hv/lib/timerq.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/bioschan.h"

#include "board_host.h"
#include "unit.h"

#define CD_SECTORS   64u
#define DISK_SECTORS 128u
#define REQ	     0x1000u
#define DATA	     0x10000u

#define MEM_SIZE (4u << 20)

static struct board_host b;
static struct bioschan chan;
static struct blk_ram cd, disk;
static struct blk slow; /* a medium that is not in memory */
static u8 cd_data[CD_SECTORS * 2048], disk_data[DISK_SECTORS * 512];
static u8 mem[MEM_SIZE];
static char text[256], logged[256];
static unsigned events, last_event, cancelled;
static struct blk_req *slow_req;

static void on_text(void *ctx, const char *buf, unsigned n)
{
	(void)ctx;
	strncat(text, buf, n);
}

static void on_log(void *ctx, const char *buf, unsigned n)
{
	(void)ctx;
	strncat(logged, buf, n);
}

static void on_event(void *ctx, unsigned ev)
{
	(void)ctx;
	events++;
	last_event = ev;
}

static bool irq_level;

static void on_irq(void *ctx, unsigned line, bool level)
{
	(void)ctx, (void)line;
	irq_level = level;
}

static void slow_submit(struct blk *blk, struct blk_req *req)
{
	(void)blk;
	slow_req = req;
}

static void slow_cancel(struct blk *blk)
{
	(void)blk;
	slow_req = NULL;
	cancelled++;
}

static const struct blk_ops slow_ops = {.submit = slow_submit, .cancel = slow_cancel};
static const struct bioschan_ops ops = {.text = on_text, .log = on_log, .event = on_event};

static void setup(void)
{
	struct bios_config config = {.size = sizeof(config), .ncpus = 1, .low_ram = MEM_SIZE};
	struct blk *drive[BIOS_MAX_DRIVES] = {&cd.blk, &disk.blk, &slow, NULL};

	board_host_init(&b, mem, sizeof(mem));
	memset(mem, 0, sizeof(mem));
	for (unsigned i = 0; i < sizeof(cd_data); i++)
		cd_data[i] = (u8)(i * 7 + i / 2048);
	memset(disk_data, 0x11, sizeof(disk_data));
	blk_ram_init(&cd, &b.f.host, cd_data, sizeof(cd_data), true);
	blk_ram_init(&disk, &b.f.host, disk_data, sizeof(disk_data), false);
	slow = (struct blk){.ops = &slow_ops, .size = 512 * 8};
	config.drive[0] = (struct bios_drive){BOOT_CDROM, {0}, 2048, CD_SECTORS};
	config.drive[1] = (struct bios_drive){BOOT_DISK, {0}, 512, DISK_SECTORS};
	config.drive[2] = (struct bios_drive){BOOT_FLOPPY, {0}, 512, 8};
	text[0] = logged[0] = '\0';
	events = cancelled = 0;
	slow_req = NULL;
	CHECK_EQ(bioschan_init(&chan, &b.bus, &b.f.host, &config, drive, &ops, NULL), 0);
}

static u32 request(u32 op, u32 drive, u64 lba, u32 count, u64 gpa)
{
	struct bios_disk_req r = {op, drive, lba, count, BIOS_DISK_PENDING, gpa};

	memcpy(mem + REQ, &r, sizeof(r));
	bus_port_write(&b.bus, BIOSCHAN_PORT_DISK, 4, REQ);
	memcpy(&r, mem + REQ, sizeof(r));
	return r.status;
}

static u32 status_now(void)
{
	struct bios_disk_req r;

	memcpy(&r, mem + REQ, sizeof(r));
	return r.status;
}

TEST(items_read_byte_by_byte_and_end_in_zeros)
{
	struct bios_config c;
	u8 sig[12], rest[4];
	const struct port_range *r;

	setup();
	bus_port_write(&b.bus, BIOSCHAN_PORT_SELECT, 2, BIOSCHAN_SIGNATURE);
	for (unsigned i = 0; i < sizeof(sig); i++)
		sig[i] = in8(&b, BIOSCHAN_PORT_DATA);
	CHECK(!memcmp(sig, "PNBIOS\0\1\0\0\0\0", 12));
	bus_port_write(&b.bus, BIOSCHAN_PORT_SELECT, 2, BIOSCHAN_CONFIG);
	r = bus_find_port(&b.bus, BIOSCHAN_PORT_DATA);
	CHECK_EQ(r->ops->read_rep(r->dev, BIOSCHAN_PORT_DATA, 1, &c, sizeof(c)), sizeof(c));
	CHECK(!memcmp(&c, &chan.config, sizeof(c)));
	CHECK_EQ(r->ops->read_rep(r->dev, BIOSCHAN_PORT_DATA, 1, rest, 4), 4);
	CHECK(!memcmp(rest, "\0\0\0\0", 4));
	chan.pos = UINT32_MAX;
	CHECK_EQ(in8(&b, BIOSCHAN_PORT_DATA), 0);
	CHECK_EQ(in8(&b, BIOSCHAN_PORT_DATA), 0); /* does not wrap to the start */
	bus_port_write(&b.bus, BIOSCHAN_PORT_SELECT, 2, 0xffff);
	CHECK_EQ(in8(&b, BIOSCHAN_PORT_DATA), 0);
}

TEST(text_log_and_events_reach_their_owner)
{
	const struct port_range *r;

	setup();
	out8(&b, BIOSCHAN_PORT_TEXT, 'H');
	r = bus_find_port(&b.bus, BIOSCHAN_PORT_TEXT);
	CHECK_EQ(r->ops->write_rep(r->dev, BIOSCHAN_PORT_TEXT, 1, "ello\n", 5), 5);
	CHECK_EQ(r->ops->write_rep(r->dev, BIOSCHAN_PORT_LOG, 1, "INT 10", 6), 6);
	CHECK_STR(text, "Hello\n");
	CHECK_STR(logged, "INT 10");
	out8(&b, BIOSCHAN_PORT_EVENT, BIOS_EVENT_BOOT);
	CHECK(events == 1 && last_event == BIOS_EVENT_BOOT && !b.f.events);
	out8(&b, BIOSCHAN_PORT_EVENT, BIOS_EVENT_POWER_OFF);
	CHECK(b.f.events == 1 && b.f.last_event == MACHINE_POWER_OFF);
}

TEST(a_medium_in_memory_is_served_before_the_instruction_ends)
{
	setup();
	CHECK_EQ(request(BIOS_DISK_READ, 0, 3, 2, DATA), 0);
	CHECK(!memcmp(mem + DATA, cd_data + 3 * 2048, 4096));
	CHECK_EQ(mem[DATA + 4096], 0);
	memset(mem + DATA, 0xee, 1024);
	CHECK_EQ(request(BIOS_DISK_WRITE, 1, DISK_SECTORS - 1, 1, DATA), 0);
	CHECK_EQ(disk_data[sizeof(disk_data) - 1], 0xee);
	CHECK_EQ(disk_data[sizeof(disk_data) - 513], 0x11);
	CHECK_EQ(chan.disk_requests, 2);
	CHECK_EQ(chan.disk_bytes, 4096 + 512);
}

TEST(bad_requests_get_the_status_that_says_so)
{
	setup();
	CHECK_EQ(request(2, 0, 0, 1, DATA), BIOS_DISK_BAD_COMMAND);
	CHECK_EQ(request(BIOS_DISK_READ, 3, 0, 1, DATA), BIOS_DISK_NOT_READY);
	CHECK_EQ(request(BIOS_DISK_READ, 4, 0, 1, DATA), BIOS_DISK_NOT_READY);
	CHECK_EQ(request(BIOS_DISK_READ, 0xffffffff, 0, 1, DATA), BIOS_DISK_NOT_READY);
	CHECK_EQ(request(BIOS_DISK_READ, 0, CD_SECTORS, 1, DATA), BIOS_DISK_NOT_FOUND);
	CHECK_EQ(request(BIOS_DISK_READ, 0, CD_SECTORS - 1, 2, DATA), BIOS_DISK_NOT_FOUND);
	CHECK_EQ(request(BIOS_DISK_READ, 0, ~0ull, 2, DATA), BIOS_DISK_NOT_FOUND);
	CHECK_EQ(request(BIOS_DISK_READ, 0, 1ull << 53, 1, DATA), BIOS_DISK_NOT_FOUND);
	CHECK_EQ(request(BIOS_DISK_READ, 0, 0, 65537, DATA), BIOS_DISK_BAD_COMMAND);
	CHECK_EQ(request(BIOS_DISK_READ, 0, 0, 0xffffffff, DATA), BIOS_DISK_BAD_COMMAND);
	CHECK_EQ(request(BIOS_DISK_WRITE, 0, 0, 1, DATA), BIOS_DISK_PROTECTED);
	CHECK_EQ(request(BIOS_DISK_READ, 0, 0, 1, MEM_SIZE - 1), BIOS_DISK_BAD_MEMORY);
	CHECK_EQ(request(BIOS_DISK_READ, 0, 0, 1, ~0ull - 100), BIOS_DISK_BAD_MEMORY);
	CHECK_EQ(request(BIOS_DISK_READ, 0, 0, 0, DATA), 0);
	bus_port_write(&b.bus, BIOSCHAN_PORT_DISK, 4, 0xfffffff0); /* request itself not in RAM */
	bus_port_write(&b.bus, BIOSCHAN_PORT_DISK, 4, MEM_SIZE - 8);
	CHECK_EQ(chan.disk_requests, 1); /* only one got as far as the medium */
}

TEST(a_slow_medium_answers_later_and_takes_one_at_a_time)
{
	setup();
	CHECK_EQ(request(BIOS_DISK_READ, 2, 1, 1, DATA), BIOS_DISK_PENDING);
	CHECK(slow_req && slow_req->offset == 512 && slow_req->seg[0].gpa == DATA);
	CHECK_EQ(request(BIOS_DISK_READ, 2, 1, 1, DATA), BIOS_DISK_NOT_READY);
	chan.irq = (struct irq_line){.set = on_irq};
	slow_req->done(slow_req, -EIO);
	CHECK_EQ(status_now(), BIOS_DISK_CONTROLLER);
	CHECK(irq_level); /* wakes who sleeps until then */
	bus_port_read(&b.bus, BIOSCHAN_PORT_DISK, 1);
	CHECK(!irq_level);
	CHECK_EQ(request(BIOS_DISK_READ, 2, 1, 1, DATA), BIOS_DISK_PENDING);
	slow_req->done(slow_req, 0);
	CHECK(irq_level);
	CHECK_EQ(request(BIOS_DISK_READ, 2, 1, 1, DATA), BIOS_DISK_PENDING);
	CHECK(!irq_level);
	bioschan_reset(&chan);
	CHECK_EQ(cancelled, 1);
	CHECK_EQ(request(BIOS_DISK_READ, 2, 1, 1, DATA), BIOS_DISK_PENDING);
}

/* Any request at all: memory changes exactly as a shadow copy that obeys the request says. */
TEST(random_requests_change_nothing_but_what_they_name)
{
	static u8 shadow[MEM_SIZE];
	u64 seed = 21;
	unsigned served = 0;

	setup();
	memcpy(shadow, mem, sizeof(mem));
	for (unsigned i = 0; i < 1500 && !unit_failures; i++) {
		bool wild = board_random(&seed) % 4 == 0;
		struct bios_disk_req r = {
			.op = wild ? board_random(&seed) % 3 : BIOS_DISK_READ,
			.drive = wild ? board_random(&seed) : 0,
			.lba = board_random(&seed) % (CD_SECTORS + 2),
			.count = board_random(&seed) % (wild ? 0x20000 : 8),
			.status = BIOS_DISK_PENDING,
			.gpa = board_random(&seed) % (MEM_SIZE + 4096),
		};
		u32 bytes = r.count * 2048;

		memcpy(mem + REQ, &r, sizeof(r));
		memcpy(shadow + REQ, &r, sizeof(r));
		bus_port_write(&b.bus, BIOSCHAN_PORT_DISK, 4, REQ);
		if (r.op == BIOS_DISK_READ && r.drive == 0 && r.lba <= CD_SECTORS &&
		    r.count <= CD_SECTORS - r.lba && (!r.count || r.gpa + bytes <= MEM_SIZE)) {
			if (bytes)
				memcpy(shadow + r.gpa, cd_data + r.lba * 2048, bytes);
			r.status = 0;
			memcpy(shadow + REQ + offsetof(struct bios_disk_req, status), &r.status, 4);
			served++;
		} else {
			CHECK(status_now() != 0 && status_now() != BIOS_DISK_PENDING);
			memcpy(shadow + REQ, mem + REQ, sizeof(r));
		}
		CHECK(!memcmp(shadow, mem, sizeof(mem)));
	}
	CHECK(served > 500);
}
