/* penumbrad's disks, by the real daemon in a child and a fake hypervisor: data that gets lost or
 * mixed up, requests answered twice or never, a flush that overtakes writes, two writers of one
 * image, errors swallowed or said without end, a restart that loses what was in flight.
 *
 * SRCS: tests/unit/fake_channel.c
 * SRCS: rootfs/lib/loop.c rootfs/lib/say.c rootfs/lib/modprobe.c rootfs/penumbrad/daemon.c
 * SRCS: rootfs/penumbrad/aio.c rootfs/penumbrad/aio_threads.c rootfs/penumbrad/aio_uring.c
 * SRCS: rootfs/penumbrad/area.c rootfs/penumbrad/blk.c rootfs/penumbrad/medium.c
 * SRCS: rootfs/penumbrad/mounts.c rootfs/penumbrad/net.c rootfs/penumbrad/switch.c
 * SRCS: rootfs/penumbrad/bridge.c rootfs/penumbrad/calls.c rootfs/penumbrad/console.c
 * SRCS: rootfs/penumbrad/logfile.c rootfs/penumbrad/server.c rootfs/penumbrad/uio.c
 * SRCS: rootfs/penumbrad/hugepages.c
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_channel.h"
#include "unit.h"

#define IMAGE_SIZE (4 * MIB)

static void make_image(struct fake_channel *f, const char *name, u64 size)
{
	int fd = open(fake_path(f, name), O_RDWR | O_CREAT, 0644);

	CHECK(fd >= 0 && !ftruncate(fd, (off_t)size));
	close(fd);
}

static void fill(u8 *p, u32 len, u32 seed)
{
	for (u32 i = 0; i < len; i++)
		p[i] = (u8)((seed = seed * 1664525u + 1013904223u) >> 24);
}

static bool filled(const u8 *p, u32 len, u32 seed)
{
	for (u32 i = 0; i < len; i++) {
		if (p[i] != (u8)((seed = seed * 1664525u + 1013904223u) >> 24))
			return false;
	}
	return true;
}

static bool file_filled(struct fake_channel *f, const char *name, u64 offset, u32 len, u32 seed)
{
	static u8 buf[CHAN_SLOT_SIZE];
	int fd = open(fake_path(f, name), O_RDONLY);
	bool ok = pread(fd, buf, len, (off_t)offset) == (ssize_t)len && filled(buf, len, seed);

	close(fd);
	return ok;
}

static void begin(struct fake_channel *f, const struct aio_ops *aio)
{
	struct chan_blk_done d;

	fake_init(f, aio);
	make_image(f, "a.img", IMAGE_SIZE);
	CHECK(fake_start(f));
	d = fake_open(f, 7, MEDIUM_FILE, "alpha", "/a.img", false);
	CHECK_EQ(d.status, 0);
	CHECK_EQ(d.size, IMAGE_SIZE);
	CHECK_EQ(d.flags, 0);
}

static void finish(struct fake_channel *f)
{
	CHECK_EQ(fake_stop(f), DAEMON_STOPPED);
	CHECK(!fake_said_times(f, "AddressSanitizer"));
	fake_fini(f);
}

/* Writes that f->sh->faults.hold_writes held are carried out. */
static void let_writes_go(struct fake_channel *f)
{
	f->sh->faults.hold_writes = 0;
	fake_interrupt(f, CHAN_BLK_REQ);
}

/* The id of the next answer, all of which is in *@d. */
static u32 next_done(struct fake_channel *f, struct chan_blk_done *d)
{
	CHECK(fake_get(f, CHAN_BLK_DONE, d));
	return d->id;
}

static void write_read_flush(const struct aio_ops *aio)
{
	struct fake_channel f;

	begin(&f, aio);
	fill(fake_slot(&f, 3), 65536, 1);
	CHECK_EQ(fake_blk(&f, CHAN_BLK_WRITE, 7, 12288, 65536, 3).status, 0);
	CHECK_EQ(fake_blk(&f, CHAN_BLK_READ, 7, 12288, 65536, 4).status, 0);
	CHECK(filled(fake_slot(&f, 4), 65536, 1));
	CHECK_EQ(fake_blk(&f, CHAN_BLK_FLUSH, 7, 0, 0, 0).status, 0);
	CHECK(file_filled(&f, "a.img", 12288, 65536, 1));
	CHECK_EQ(fake_blk(&f, CHAN_BLK_CLOSE, 7, 0, 0, 0).status, 0);
	CHECK_EQ(fake_blk(&f, CHAN_BLK_READ, 7, 0, 512, 4).status, -ENODEV);
	finish(&f);
}

TEST(data_written_is_read_back_and_in_the_file)
{
	write_read_flush(NULL);
}

TEST(the_same_without_io_uring)
{
	write_read_flush(&aio_threads);
}

TEST(write_through_reaches_the_file)
{
	struct fake_channel f;
	struct chan_blk_req r = {.id = 90,
				 .op = CHAN_BLK_WRITE,
				 .flags = CHAN_BLK_FUA,
				 .medium = 7,
				 .len = 4096,
				 .slot = 1};
	struct chan_blk_done d;

	begin(&f, NULL);
	fill(fake_slot(&f, 1), 4096, 5);
	CHECK(fake_put(&f, CHAN_BLK_REQ, &r));
	CHECK_EQ(next_done(&f, &d), 90);
	CHECK_EQ(d.status, 0);
	CHECK(file_filled(&f, "a.img", 0, 4096, 5));
	finish(&f);
}

TEST(every_request_of_a_burst_is_answered_once)
{
	struct fake_channel f;
	unsigned seen[32] = {0};

	begin(&f, NULL);
	for (u32 i = 0; i < 32; i++) {
		struct chan_blk_req r = {.id = 1000 + i,
					 .op = CHAN_BLK_WRITE,
					 .medium = 7,
					 .len = 16384,
					 .offset = i * 16384,
					 .slot = i};

		fill(fake_slot(&f, i), 16384, i);
		CHECK(ring_put(&f.ring[CHAN_BLK_REQ], &r));
	}
	fake_interrupt(&f, CHAN_BLK_REQ);
	for (u32 i = 0; i < 32; i++) {
		struct chan_blk_done d = {0};

		CHECK(fake_get(&f, CHAN_BLK_DONE, &d));
		CHECK_EQ(d.status, 0);
		if (d.id - 1000 < 32)
			seen[d.id - 1000]++;
	}
	for (u32 i = 0; i < 32; i++) {
		CHECK_EQ(seen[i], 1);
		CHECK(file_filled(&f, "a.img", i * 16384, 16384, i));
	}
	CHECK(fake_quiet(&f, CHAN_BLK_DONE, 20));
	CHECK(f.sh->irqs < 16); /* one interrupt brings many */
	finish(&f);
}

TEST(wrong_requests_are_refused_each_by_its_error)
{
	struct fake_channel f;

	begin(&f, NULL);
	CHECK_EQ(fake_blk(&f, CHAN_BLK_READ, 7, IMAGE_SIZE, 512, 0).status, -ERANGE);
	CHECK_EQ(fake_blk(&f, CHAN_BLK_READ, 7, IMAGE_SIZE - 512, 1024, 0).status, -ERANGE);
	CHECK_EQ(fake_blk(&f, CHAN_BLK_READ, 7, ~511ull, 512, 0).status, -ERANGE);
	CHECK_EQ(fake_blk(&f, CHAN_BLK_READ, 7, 100, 512, 0).status, -EINVAL);
	CHECK_EQ(fake_blk(&f, CHAN_BLK_READ, 7, 0, 0, 0).status, -EINVAL);
	CHECK_EQ(fake_blk(&f, CHAN_BLK_READ, 7, 0, CHAN_SLOT_SIZE + 512, 0).status, -EINVAL);
	CHECK_EQ(fake_blk(&f, CHAN_BLK_READ, 7, 0, 512, 32).status, -EINVAL);
	CHECK_EQ(fake_blk(&f, CHAN_BLK_READ, 8, 0, 512, 0).status, -ENODEV);
	CHECK_EQ(fake_blk(&f, 77, 7, 0, 512, 0).status, -EOPNOTSUPP);
	CHECK_EQ(fake_blk(&f, CHAN_BLK_OPEN, 9, 0, 0, 4000000000u).status, -EINVAL);
	CHECK_EQ(fake_blk(&f, CHAN_BLK_CLOSE, 9, 0, 0, 0).status, -ENODEV);
	CHECK_EQ(fake_blk(&f, CHAN_BLK_READ, 7, 0, 512, 0).status, 0);
	finish(&f);
}

TEST(one_writer_per_image_and_the_message_names_the_other)
{
	struct fake_channel f;

	begin(&f, NULL);
	CHECK_EQ(fake_open(&f, 8, MEDIUM_FILE, "beta", "/a.img", false).status, -EBUSY);
	CHECK(strstr((char *)fake_slot(&f, 0), "in use by guest alpha"));
	CHECK_EQ(fake_open(&f, 8, MEDIUM_FILE, "beta", "/a.img", true).status, -EBUSY);
	/* By another name it is the same image. */
	CHECK(!link(fake_path(&f, "a.img"), fake_path(&f, "b.img")));
	CHECK_EQ(fake_open(&f, 8, MEDIUM_FILE, "beta", "/b.img", false).status, -EBUSY);
	CHECK_EQ(fake_blk(&f, CHAN_BLK_CLOSE, 7, 0, 0, 0).status, 0);
	CHECK_EQ(fake_open(&f, 7, MEDIUM_FILE, "alpha", "/a.img", true).status, 0);
	CHECK_EQ(fake_open(&f, 8, MEDIUM_FILE, "beta", "/a.img", true).status, 0);
	CHECK_EQ(fake_blk(&f, CHAN_BLK_WRITE, 8, 0, 512, 1).status, -EROFS);
	finish(&f);
}

TEST(what_cannot_be_opened_says_why)
{
	static const struct {
		u32 kind;
		const char *path;
		s32 status;
		const char *why;
	} cases[] = {
		{MEDIUM_FILE, "/none.img", -ENOENT, "no image /none.img"},
		{MEDIUM_FILE, "../etc/passwd", -EINVAL, "no path of an image"},
		{MEDIUM_FILE, "/", -EINVAL, "no path of an image"},
		{MEDIUM_FILE, "/empty.img", -ENODATA, "is empty"},
		{MEDIUM_FILE, "/dev/null", -EINVAL, "is no file"},
		{MEDIUM_DEVICE, "/dev/none", -ENOENT, "no device"},
		{MEDIUM_DEVICE, "/dev/null", -ENOTBLK, "is no disk"},
		{3, "/a.img", -EINVAL, "unknown kind"},
	};
	struct fake_channel f;

	begin(&f, NULL);
	make_image(&f, "empty.img", 100);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CHECK_EQ(fake_open(&f, 20, cases[i].kind, "beta", cases[i].path, false).status,
			 cases[i].status);
		CHECK(strstr((char *)fake_slot(&f, 0), cases[i].why));
	}
	finish(&f);
}

TEST(an_image_that_appears_late_is_opened)
{
	struct fake_channel f;
	struct chan_blk_req r = {.id = 5, .op = CHAN_BLK_OPEN, .medium = 1};
	struct chan_blk_open *o;
	struct chan_blk_done d = {0};

	fake_init(&f, NULL);
	f.options.open_patience_ns = 30 * NSEC_PER_SEC;
	CHECK(fake_start(&f));
	o = (void *)fake_slot(&f, 0);
	*o = (struct chan_blk_open){.kind = MEDIUM_FILE, .block = 512, .path = "/late.img"};
	CHECK(fake_put(&f, CHAN_BLK_REQ, &r));
	CHECK(fake_said(&f, "waiting for it"));
	make_image(&f, "late.img", MIB);
	CHECK(fake_get(&f, CHAN_BLK_DONE, &d));
	CHECK_EQ(d.status, 0);
	CHECK_EQ(d.size, MIB);
	finish(&f);
}

TEST(a_flush_waits_for_the_writes_before_it)
{
	struct fake_channel f;
	struct chan_blk_req w = {.id = 1, .op = CHAN_BLK_WRITE, .medium = 7, .len = 512, .slot = 1};
	struct chan_blk_req flush = {.id = 2, .op = CHAN_BLK_FLUSH, .medium = 7};
	struct chan_blk_done d = {0};

	begin(&f, &aio_faulty);
	f.sh->faults.hold_writes = 1;
	CHECK(fake_put(&f, CHAN_BLK_REQ, &w));
	CHECK(fake_put(&f, CHAN_BLK_REQ, &flush));
	CHECK(fake_quiet(&f, CHAN_BLK_DONE, 50));
	/* Reads are not held up. */
	CHECK_EQ(fake_blk(&f, CHAN_BLK_READ, 7, 8192, 512, 2).status, 0);
	let_writes_go(&f);
	CHECK_EQ(next_done(&f, &d), 1);
	CHECK_EQ(next_done(&f, &d), 2);
	CHECK_EQ(d.status, 0);
	finish(&f);
}

TEST(errors_of_the_medium_reach_the_guest_and_are_said_once)
{
	struct fake_channel f;

	begin(&f, &aio_faulty);
	f.sh->faults = (struct fake_faults){.error = -ENOSPC, .offset = 4096};
	for (int i = 0; i < 3; i++)
		CHECK_EQ(fake_blk(&f, CHAN_BLK_WRITE, 7, 4096, 512, 1).status, -ENOSPC);
	CHECK_EQ(fake_blk(&f, CHAN_BLK_WRITE, 7, 8192, 512, 1).status, 0);
	f.sh->faults = (struct fake_faults){.error = -EIO, .offset = 8192};
	for (int i = 0; i < 3; i++)
		CHECK_EQ(fake_blk(&f, CHAN_BLK_READ, 7, 8192, 512, 1).status, -EIO);
	CHECK_EQ(fake_said_times(&f, "no room on the medium for"), 1);
	CHECK_EQ(fake_said_times(&f, "cannot read"), 1);
	CHECK(fake_said(&f, "a.img at byte 4096"));
	finish(&f);
}

TEST(a_file_cut_short_gives_an_error_not_old_data)
{
	struct fake_channel f;

	begin(&f, NULL);
	CHECK(!truncate(fake_path(&f, "a.img"), 4096));
	CHECK_EQ(fake_blk(&f, CHAN_BLK_READ, 7, 8192, 512, 1).status, -EIO);
	CHECK_EQ(fake_blk(&f, CHAN_BLK_READ, 7, 2048, 4096, 1).status, -EIO);
	finish(&f);
}

TEST(killed_in_flight_the_next_daemon_does_it_again)
{
	struct fake_channel f;
	struct chan_blk_req w = {
		.id = 41, .op = CHAN_BLK_WRITE, .medium = 7, .len = 8192, .slot = 2};
	struct chan_blk_done d = {0};

	begin(&f, &aio_faulty);
	f.sh->faults.hold_writes = 1;
	CHECK(fake_put(&f, CHAN_BLK_REQ, &w));
	CHECK(fake_quiet(&f, CHAN_BLK_DONE, 50));
	fake_kill(&f);
	f.sh->faults.hold_writes = 0;
	CHECK(fake_start(&f));
	CHECK_EQ(fake_open(&f, 7, MEDIUM_FILE, "alpha", "/a.img", false).status, 0);
	fill(fake_slot(&f, 2), 8192, 3);
	CHECK(fake_put(&f, CHAN_BLK_REQ, &w));
	CHECK_EQ(next_done(&f, &d), 41);
	CHECK_EQ(d.status, 0);
	CHECK(file_filled(&f, "a.img", 0, 8192, 3));
	finish(&f);
}

TEST(asked_to_stop_it_ends_what_is_in_flight_first)
{
	struct fake_channel f;
	struct chan_blk_req w = {
		.id = 1, .op = CHAN_BLK_WRITE, .medium = 7, .len = 4096, .slot = 1};
	struct chan_blk_done d = {0};

	begin(&f, &aio_faulty);
	fill(fake_slot(&f, 1), 4096, 8);
	f.sh->faults.hold_writes = 1;
	CHECK(fake_put(&f, CHAN_BLK_REQ, &w));
	CHECK(fake_quiet(&f, CHAN_BLK_DONE, 50));
	kill(f.pid, SIGTERM);
	CHECK(fake_quiet(&f, CHAN_BLK_DONE, 50));
	let_writes_go(&f);
	CHECK(fake_get(&f, CHAN_BLK_DONE, &d));
	CHECK_EQ(d.status, 0);
	CHECK_EQ(fake_wait_end(&f), DAEMON_STOPPED);
	CHECK_EQ(f.sh->state, 0);
	CHECK(file_filled(&f, "a.img", 0, 4096, 8));
	fake_fini(&f);
}

TEST(closing_waits_for_transfers)
{
	struct fake_channel f;
	struct chan_blk_req w = {.id = 1, .op = CHAN_BLK_WRITE, .medium = 7, .len = 512, .slot = 1};
	struct chan_blk_req c = {.id = 2, .op = CHAN_BLK_CLOSE, .medium = 7};
	struct chan_blk_done d = {0};

	begin(&f, &aio_faulty);
	f.sh->faults.hold_writes = 1;
	CHECK(fake_put(&f, CHAN_BLK_REQ, &w));
	CHECK(fake_put(&f, CHAN_BLK_REQ, &c));
	CHECK(fake_quiet(&f, CHAN_BLK_DONE, 50));
	let_writes_go(&f);
	CHECK_EQ(next_done(&f, &d), 1);
	CHECK_EQ(next_done(&f, &d), 2);
	finish(&f);
}

TEST(answers_wait_for_room)
{
	struct fake_channel f;
	struct chan_blk_done d = {0};
	const u32 n = 500; /* more than the ring of answers and the daemon's table hold */
	u32 got = 0;

	begin(&f, NULL);
	for (u32 i = 0; i < n; i++) {
		struct chan_blk_req r = {.id = i, .op = 99, .medium = 7};
		u64 end = loop_now() + 5 * NSEC_PER_SEC;

		while (!fake_put(&f, CHAN_BLK_REQ, &r) && loop_now() < end)
			usleep(1000);
	}
	while (got < n && fake_get(&f, CHAN_BLK_DONE, &d))
		CHECK_EQ(d.id, got++);
	CHECK_EQ(got, n);
	finish(&f);
}
