/* The hypervisor's end of the channel for tests.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include "fake_channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 5000

/* The child's copies: one daemon a process. */
static struct fake_channel *mine;

static u64 now_ms(void)
{
	return loop_now() / NSEC_PER_MSEC;
}

static void drain(int fd)
{
	u64 n;
	ssize_t rc = read(fd, &n, sizeof(n));

	(void)rc;
}

static void ring(int fd)
{
	u64 one = 1;
	ssize_t rc = write(fd, &one, sizeof(one));

	(void)rc;
}

/* --- the transport, in the daemon's process --- */

static int fake_transport_open(struct transport *t)
{
	t->irq_fd = mine->irq;
	return 0;
}

static int fake_map_area(struct transport *t)
{
	t->area = mine->area;
	t->npages = FAKE_PAGES;
	memset(t->area, 0, (size_t)FAKE_PAGES * CHAN_PAGE_SIZE);
	return 0;
}

static u64 fake_page_address(struct transport *t, unsigned i)
{
	(void)t;
	return 0x40000000u + (u64)i * CHAN_PAGE_SIZE;
}

static u32 fake_reg_read(struct transport *t, u32 reg)
{
	(void)t;
	switch (reg) {
	case CHAN_REG_MAGIC:
		return CHAN_MAGIC;
	case CHAN_REG_ABI:
		return CHAN_ABI;
	case CHAN_REG_ERROR:
		return mine->sh->error;
	default:
		return 0;
	}
}

static void fake_command(struct fake_shared *sh, u32 cmd)
{
	sh->error = 0;
	if (cmd == CHAN_CMD_DETACH) {
		sh->state = sh->npages = 0;
	} else if (cmd == CHAN_CMD_PAGE && sh->npages < FAKE_PAGES) {
		sh->page[sh->npages++] = sh->arg_lo | (u64)sh->arg_hi << 32;
	} else if (cmd == CHAN_CMD_ATTACH && sh->npages == FAKE_PAGES) {
		sh->state |= CHAN_STATE_ATTACHED;
	} else if (cmd == CHAN_CMD_READY) {
		sh->state |= CHAN_STATE_READY;
	} else {
		sh->error = EINVAL;
	}
	ring(mine->bell);
}

static void fake_reg_write(struct transport *t, u32 reg, u32 value)
{
	struct fake_shared *sh = mine->sh;

	(void)t;
	if (reg == CHAN_REG_ARG_LO)
		sh->arg_lo = value;
	else if (reg == CHAN_REG_ARG_HI)
		sh->arg_hi = value;
	else if (reg == CHAN_REG_CMD)
		fake_command(sh, value);
	else if (reg == CHAN_REG_BELL)
		ring(mine->bell);
	else if (reg == CHAN_REG_ISR)
		__atomic_and_fetch(&sh->isr, ~value, __ATOMIC_SEQ_CST);
	else if (reg == CHAN_REG_ENABLE)
		sh->enable = value;
}

static void fake_irq_taken(struct transport *t)
{
	drain(t->irq_fd);
	mine->sh->irqs++;
}

/* A level interrupt: it comes again while ISR is not clear. */
static void fake_irq_enable(struct transport *t)
{
	(void)t;
	if (__atomic_load_n(&mine->sh->isr, __ATOMIC_SEQ_CST) & mine->sh->enable)
		ring(mine->irq);
}

static void fake_close(struct transport *t)
{
	(void)t;
}

static const struct transport_ops transport_fake = {
	.name = "fake",
	.open = fake_transport_open,
	.map_area = fake_map_area,
	.page_address = fake_page_address,
	.reg_read = fake_reg_read,
	.reg_write = fake_reg_write,
	.irq_taken = fake_irq_taken,
	.irq_enable = fake_irq_enable,
	.close = fake_close,
};

/* --- an aio that can be held up and made to fail --- */

static struct aio_req *held, *failed;

static int faulty_open(struct aio *a, unsigned depth)
{
	return aio_threads.open(a, depth);
}

static void faulty_submit(struct aio *a, struct aio_req *r)
{
	const struct fake_faults *f = &mine->sh->faults;

	if (f->error && r->offset == f->offset && r->op != AIO_FSYNC) {
		r->next = failed;
		failed = r;
	} else if (r->op == AIO_WRITE) {
		r->next = held;
		held = r;
	} else {
		aio_threads.submit(a, r);
	}
}

static void faulty_flush(struct aio *a)
{
	while (failed) {
		struct aio_req *r = failed;

		failed = r->next;
		r->done(r, mine->sh->faults.error);
	}
	while (held && !__atomic_load_n(&mine->sh->faults.hold_writes, __ATOMIC_SEQ_CST)) {
		struct aio_req *r = held;

		held = r->next;
		aio_threads.submit(a, r);
	}
}

static void faulty_close(struct aio *a)
{
	aio_threads.close(a);
}

const struct aio_ops aio_faulty = {.name = "faulty",
				   .open = faulty_open,
				   .submit = faulty_submit,
				   .flush = faulty_flush,
				   .close = faulty_close};

/* --- life --- */

static void *shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

/* Holds a socket, whose path has few bytes: in /tmp where TMPDIR is too long for it. */
static void make_dir(struct fake_channel *f)
{
	const char *where = getenv("TMPDIR");

	if (!where || !*where || strlen(where) + sizeof("/penumbrad.XXXXXX") > sizeof(f->dir))
		where = "/tmp";
	snprintf(f->dir, sizeof(f->dir), "%s/penumbrad.XXXXXX", where);
	if (!mkdtemp(f->dir))
		abort();
}

void fake_init(struct fake_channel *f, const struct aio_ops *aio)
{
	memset(f, 0, sizeof(*f));
	f->sh = shared(sizeof(*f->sh));
	f->area = shared((size_t)FAKE_PAGES * CHAN_PAGE_SIZE);
	f->irq = eventfd(0, EFD_NONBLOCK);
	f->bell = eventfd(0, EFD_NONBLOCK);
	make_dir(f);
	snprintf(f->socket, sizeof(f->socket), "%s/sock", f->dir);
	snprintf(f->log, sizeof(f->log), "%s/said", f->dir);
	f->search[0] = f->dir;
	f->search[1] = "";
	f->next_id = 1;
	f->options = (struct daemon_options){.transport = &transport_fake,
					     .aio = aio,
					     .socket = f->socket,
					     .logs = strdup(fake_path(f, "logs")),
					     .log_max = MIB,
					     .search = f->search,
					     .open_patience_ns = NSEC_PER_SEC / 10,
					     .pages = FAKE_PAGES};
}

static void run_daemon(struct fake_channel *f)
{
	int fd = open(f->log, O_WRONLY | O_CREAT | O_APPEND, 0644);

	mine = f;
	/* What the test has open is none of the daemon's. */
	for (int other = STDERR_FILENO + 1; other < 64; other++) {
		if (other != fd && other != f->irq && other != f->bell)
			close(other);
	}
	dup2(fd, STDERR_FILENO);
	close(fd);
	held = failed = NULL;
	/* _exit: what the test's process had allocated is no leak of the daemon's. */
	_exit(daemon_run(&f->options));
}

static bool wait_ready(struct fake_channel *f)
{
	u64 end = now_ms() + PATIENCE_MS;

	while (!(__atomic_load_n(&f->sh->state, __ATOMIC_SEQ_CST) & CHAN_STATE_READY)) {
		struct pollfd p = {.fd = f->bell, .events = POLLIN};

		if (now_ms() > end || waitpid(f->pid, NULL, WNOHANG) == f->pid)
			return false;
		poll(&p, 1, 100);
		drain(f->bell);
	}
	return true;
}

bool fake_start(struct fake_channel *f)
{
	const struct chan_area *head = (const void *)f->area;

	f->sh->state = 0;
	f->sh->isr = 0;
	fflush(stdout);
	f->pid = fork();
	if (f->pid == 0)
		run_daemon(f);
	if (!wait_ready(f))
		return false;
	for (unsigned i = 0; i < CHAN_RINGS; i++) {
		const struct chan_ring_place *p = &head->ring[i];

		if (!ring_place_ok(p, p->entry_size, head->npages))
			return false;
		ring_open(&f->ring[i], (void *)(f->area + p->offset), p->entry_size, p->entries);
		if (!(AREA_CONSUMED & 1u << i))
			ring_ask_bell(&f->ring[i], true);
	}
	return true;
}

int fake_wait_end(struct fake_channel *f)
{
	u64 end = now_ms() + 2 * PATIENCE_MS;
	int status;

	while (waitpid(f->pid, &status, WNOHANG) != f->pid) {
		struct timespec moment = {.tv_nsec = 5 * 1000 * 1000};

		if (now_ms() > end) {
			fake_kill(f);
			return -1;
		}
		nanosleep(&moment, NULL);
	}
	f->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int fake_stop(struct fake_channel *f)
{
	kill(f->pid, SIGTERM);
	return fake_wait_end(f);
}

void fake_kill(struct fake_channel *f)
{
	kill(f->pid, SIGKILL);
	waitpid(f->pid, NULL, 0);
	f->pid = 0;
}

void fake_fini(struct fake_channel *f)
{
	char command[128];

	if (f->pid)
		fake_kill(f);
	munmap(f->sh, sizeof(*f->sh));
	munmap(f->area, (size_t)FAKE_PAGES * CHAN_PAGE_SIZE);
	close(f->irq);
	close(f->bell);
	free((void *)(uintptr_t)f->options.logs);
	snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	if (system(command))
		printf("# cannot remove %s\n", f->dir);
}

/* --- rings --- */

void fake_interrupt(struct fake_channel *f, enum chan_ring_id id)
{
	__atomic_or_fetch(&f->sh->isr, 1u << id, __ATOMIC_SEQ_CST);
	ring(f->irq);
}

bool fake_put(struct fake_channel *f, enum chan_ring_id id, const void *entry)
{
	bool put = ring_put(&f->ring[id], entry);

	if (ring_bell_wanted(&f->ring[id]))
		fake_interrupt(f, id);
	return put;
}

static bool get_within(struct fake_channel *f, enum chan_ring_id id, void *entry, int ms)
{
	u64 end = now_ms() + (u64)ms;

	while (!ring_get(&f->ring[id], entry)) {
		struct pollfd p = {.fd = f->bell, .events = POLLIN};
		u64 now = now_ms();

		if (now >= end || f->ring[id].dead)
			return false;
		poll(&p, 1, (int)(end - now));
		drain(f->bell);
	}
	if (ring_room_wanted(&f->ring[id]))
		fake_interrupt(f, id);
	return true;
}

bool fake_get(struct fake_channel *f, enum chan_ring_id id, void *entry)
{
	return get_within(f, id, entry, PATIENCE_MS);
}

bool fake_quiet(struct fake_channel *f, enum chan_ring_id id, int ms)
{
	u8 entry[2048];

	return !get_within(f, id, entry, ms);
}

u8 *fake_slot(struct fake_channel *f, u32 slot)
{
	const struct chan_area *head = (const void *)f->area;

	return f->area + head->pool_offset + (size_t)slot * CHAN_SLOT_SIZE;
}

struct chan_blk_done fake_blk(struct fake_channel *f, u16 op, u32 medium, u64 offset, u32 len,
			      u32 slot)
{
	struct chan_blk_req r = {.id = f->next_id++,
				 .op = op,
				 .medium = medium,
				 .len = len,
				 .offset = offset,
				 .slot = slot};
	struct chan_blk_done d = {.id = 0, .status = -9999};

	fake_put(f, CHAN_BLK_REQ, &r);
	if (fake_get(f, CHAN_BLK_DONE, &d) && d.id != r.id)
		d.status = -9998;
	return d;
}

struct chan_blk_done fake_open(struct fake_channel *f, u32 medium, u32 kind, const char *guest,
			       const char *path, bool readonly)
{
	struct chan_blk_open *o = (void *)fake_slot(f, 0);

	memset(o, 0, sizeof(*o));
	o->kind = kind;
	o->want_readonly = readonly;
	o->block = 512;
	snprintf(o->guest, sizeof(o->guest), "%s", guest);
	snprintf(o->path, sizeof(o->path), "%s", path);
	return fake_blk(f, CHAN_BLK_OPEN, medium, 0, 0, 0);
}

/* --- what it said --- */

static char *whole_log(struct fake_channel *f)
{
	static char text[65536];
	int fd = open(f->log, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
	return text;
}

unsigned fake_said_times(struct fake_channel *f, const char *text)
{
	unsigned n = 0;

	for (const char *p = whole_log(f); (p = strstr(p, text)); p += strlen(text))
		n++;
	return n;
}

bool fake_said(struct fake_channel *f, const char *text)
{
	u64 end = now_ms() + PATIENCE_MS;

	while (!fake_said_times(f, text)) {
		struct timespec moment = {.tv_nsec = 5 * 1000 * 1000};

		if (now_ms() > end) {
			printf("# the daemon said:\n%s# but not: %s\n", whole_log(f), text);
			return false;
		}
		nanosleep(&moment, NULL);
	}
	return true;
}

const char *fake_path(struct fake_channel *f, const char *name)
{
	static char path[4][160];
	static unsigned next;

	next = (next + 1) % 4;
	snprintf(path[next], sizeof(path[next]), "%s/%s", f->dir, name);
	return path[next];
}
