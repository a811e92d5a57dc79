/* Address decoding. Would catch: overlaps accepted, wrong range found at a border, a straddling
 * access not split, wrap-around at the end of the port space, ranges lost on removal.
 *
 * SRCS: hv/dev/bus.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/dev.h"
#include "lib/errno.h"
#include "unit.h"

struct chip {
	u16 port;
	unsigned size, reads, writes;
	u32 value;
};

static u32 chip_read(void *dev, u16 port, unsigned size)
{
	struct chip *c = dev;

	c->reads++;
	c->port = port;
	c->size = size;
	return 0xaabbcc00u | (port & 0xff);
}

static void chip_write(void *dev, u16 port, unsigned size, u32 value)
{
	struct chip *c = dev;

	c->writes++;
	c->port = port;
	c->size = size;
	c->value = value;
}

static const struct port_ops ops = {.read = chip_read, .write = chip_write};
static const struct mmio_ops mops;

TEST(overlaps_are_refused)
{
	static struct bus b;

	CHECK_EQ(bus_add_port(&b, 0x100, 8, &ops, NULL), 0);
	CHECK_EQ(bus_add_port(&b, 0x107, 1, &ops, NULL), -EEXIST);
	CHECK_EQ(bus_add_port(&b, 0xf9, 8, &ops, NULL), -EEXIST);
	CHECK_EQ(bus_add_port(&b, 0x80, 0x1000, &ops, NULL), -EEXIST);
	CHECK_EQ(bus_add_port(&b, 0xf8, 8, &ops, NULL), 0);
	CHECK_EQ(bus_add_port(&b, 0x108, 1, &ops, NULL), 0);
	CHECK_EQ(bus_add_port(&b, 0xfff8, 9, &ops, NULL), -EINVAL);
	CHECK_EQ(bus_add_mmio(&b, 0xfec00000, 0x1000, &mops, NULL), 0);
	CHECK_EQ(bus_add_mmio(&b, 0xfec00fff, 0x1000, &mops, NULL), -EEXIST);
	CHECK_EQ(bus_add_mmio(&b, 0xfebff001, 0x1000, &mops, NULL), -EEXIST);
	CHECK_EQ(bus_add_mmio(&b, 0xfebff000, 0x1000, &mops, NULL), 0);
	CHECK_EQ(bus_add_mmio(&b, 0xfec01000, 0x1000, &mops, NULL), 0);
	CHECK_EQ(bus_add_mmio(&b, ~0ull - 10, 12, &mops, NULL), -EINVAL);
}

TEST(tables_fill_up_without_overflow)
{
	static struct bus b;
	int err = 0;

	for (unsigned i = 0; i < BUS_MAX_PORT_RANGES; i++)
		err |= bus_add_port(&b, (u16)(0x8000 - i * 4), 4, &ops, NULL);
	CHECK_EQ(err, 0);
	CHECK_EQ(bus_add_port(&b, 0x10, 4, &ops, NULL), -ENOSPC);
	for (unsigned i = 0; i < BUS_MAX_PORT_RANGES; i++)
		CHECK_EQ(bus_find_port(&b, (u16)(0x8003 - i * 4))->base, 0x8000 - i * 4);
}

TEST(every_port_finds_its_range)
{
	static struct bus b;
	static struct chip owner[3];
	static const u16 base[3] = {0x3f8, 0x60, 0xcf8};
	static const u16 len[3] = {8, 1, 8};

	for (unsigned i = 0; i < 3; i++)
		bus_add_port(&b, base[i], len[i], &ops, &owner[i]);
	for (u32 port = 0; port <= 0xffff; port++) {
		const struct port_range *r = bus_find_port(&b, (u16)port);
		void *want = NULL;

		for (unsigned i = 0; i < 3; i++) {
			if (port >= base[i] && port < (u32)base[i] + len[i])
				want = &owner[i];
		}
		CHECK((r ? r->dev : NULL) == want);
	}
}

TEST(accesses_are_split_only_where_they_straddle)
{
	static struct bus b;
	static struct chip c, d;

	bus_add_port(&b, 0x100, 4, &ops, &c);
	bus_add_port(&b, 0x104, 1, &ops, &d);
	CHECK_EQ(bus_port_read(&b, 0x100, 4), 0xaabbcc00u);
	CHECK_EQ(c.reads, 1);
	CHECK_EQ(bus_port_read(&b, 0x102, 4), 0xff040302u);
	CHECK_EQ(c.reads, 3);
	CHECK_EQ(d.reads, 1);
	bus_port_write(&b, 0xff, 2, 0x1234);
	CHECK_EQ(c.writes, 1);
	CHECK_EQ(c.port, 0x100);
	CHECK_EQ(c.value, 0x12);
	CHECK_EQ(b.unclaimed_port_writes, 1);
	CHECK_EQ(bus_port_read(&b, 0x100, 1), 0x00);
	CHECK_EQ(bus_port_read(&b, 0x101, 2), 0xcc01);
}

TEST(nothing_answers_with_all_ones_and_is_counted)
{
	static struct bus b;

	CHECK_EQ(bus_port_read(&b, 0x300, 1), 0xff);
	CHECK_EQ(bus_port_read(&b, 0x300, 2), 0xffff);
	CHECK_EQ(bus_port_read(&b, 0xffff, 4), 0xffffffffu);
	bus_port_write(&b, 0xffff, 4, 0);
	CHECK_EQ(b.unclaimed_port_reads, 3);
	CHECK_EQ(b.unclaimed_port_writes, 1);
}

TEST(removed_ranges_are_free_again)
{
	static struct bus b;
	static struct chip c, d;

	bus_add_port(&b, 0x10, 2, &ops, &c);
	bus_add_port(&b, 0x20, 2, &ops, &d);
	bus_del_port(&b, 0x10, &d); /* not its owner */
	CHECK(bus_find_port(&b, 0x10));
	bus_del_port(&b, 0x10, &c);
	CHECK(!bus_find_port(&b, 0x10));
	CHECK(bus_find_port(&b, 0x21)->dev == &d);
	bus_add_mmio(&b, 0x1000, 0x1000, &mops, &c);
	bus_add_mmio(&b, 0x3000, 0x1000, &mops, &d);
	CHECK(bus_find_mmio(&b, 0x1fff)->dev == &c);
	CHECK(!bus_find_mmio(&b, 0x2000));
	CHECK(!bus_find_mmio(&b, 0xfff));
	bus_del_mmio(&b, 0x3000, &d);
	CHECK(!bus_find_mmio(&b, 0x3000));
	CHECK(bus_find_mmio(&b, 0x1000));
}
