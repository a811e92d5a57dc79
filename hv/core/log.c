/* The hypervisor's voice; see log.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/log.h"
#include "chan/mux.h"
#include "core/clock.h"
#include "core/control.h"
#include "core/cpu.h"
#include "core/ctl.h"
#include "core/irq.h"
#include "core/keys.h"
#include "core/partition.h"
#include "core/timer.h"
#include "firmware/console.h"
#include "firmware/ioapic.h"
#include "lib/cpuops.h"
#include "lib/panic.h"
#include "lib/spinlock.h"
#include "lib/str.h"

#define PUMP_CHUNK    64
#define PUMP_MAX      1024 /* bytes per visit: the caller has other work */
#define PUMP_NS	      (1000 * NSEC_PER_USEC)
#define INPUT_POLL_NS (20 * NSEC_PER_MSEC)
#define KEY_QUEUE     8
#define SCREENFUL     2000 /* characters of a text screen */

struct pending_key {
	char key;
	char arg[40];
};

/* First what each visit looks at, in one page. */
static struct {
	struct spinlock lock;
	bool live;
	enum log_level level;
	int src_hv;
	unsigned nkeys;
	struct timer poll;
	struct timer pump[BOOT_MAX_CPUS];
	struct mux mux;
	struct record_store store;
	struct pending_key key[KEY_QUEUE];
	char plain[LOG_PLAIN_MAX]; /* lines of log_plain() that wait for room */
	unsigned plain_len;
	const struct cpu *last; /* the CPU that ends the machine: no other one uses the line then */
} log;

/* True also for a partition that is not there: nobody need wait for it. */
static bool type_to(unsigned index, u8 byte)
{
	if (index == 0 && control_partition)
		return partition_input(control_partition, byte);
	for (unsigned i = 0; i < npartitions; i++)
		if (partitions[i]->index == index)
			return partition_input(partitions[i], byte);
	return true;
}

static void mux_input(void *ctx, unsigned index, u8 byte)
{
	(void)ctx;
	type_to(index, byte);
}

/* Called under the lock: what a key does may log, so it waits until the lock is free. */
static void mux_key(void *ctx, char key, const char *arg)
{
	struct pending_key *k = &log.key[log.nkeys];

	(void)ctx;
	if (log.nkeys == KEY_QUEUE)
		return;
	k->key = key;
	str_copy(k->arg, arg ? arg : "", sizeof(k->arg));
	log.nkeys++;
}

static const struct mux_ops mux_ops = {.input = mux_input, .key = mux_key};

static bool store_emit(void *ctx, const char *line, unsigned len, bool may_drop)
{
	(void)ctx;
	return mux_record(&log.mux, line, len, may_drop);
}

static void store_kept(void *ctx, const char *line, unsigned len)
{
	(void)ctx;
	ctl_record(line, len);
}

static u64 store_now(void *ctx)
{
	(void)ctx;
	return clock_ns() / NSEC_PER_USEC;
}

/* The UART's FIFO, as far as it takes bytes without waiting. Under the lock. */
static void pump(void)
{
	char buf[PUMP_CHUNK];

	if (log.last && log.last != this_cpu())
		return;
	for (unsigned done = 0; done < PUMP_MAX;) {
		unsigned room = MIN(console_tx_room(), sizeof(buf)), n;

		if (!room)
			return;
		n = mux_drain(&log.mux, buf, room);
		if (!n)
			return;
		console_tx(buf, n);
		done += n;
	}
}

static void pump_timer(void *arg, u64 now_ns);

/* Come back for what is left: bytes in the ring, partial lines to flush. */
static void schedule_pump(u64 deadline)
{
	struct timer *t = &log.pump[this_cpu()->id];

	if (t->queued && t->deadline_ns <= deadline)
		return;
	t->fire = pump_timer;
	timer_set(t, deadline);
}

/* Guests of this CPU that were held back, by their THRE or whole, go on when there is room. */
static void release_held(void)
{
	struct vcpu *v = this_cpu()->run_queue, *first = v;

	if (!v)
		return;
	do {
		struct partition *p = v->part;

		if (p->state == PARTITION_RUNNING && p->uart && uart_tx_held(p->uart))
			uart_tx_kick(p->uart);
		if (p->held)
			partition_let_go(p);
		v = v->next;
	} while (v != first);
}

/* Under the lock. */
static void send_plain(void)
{
	while (log.plain_len) {
		const char *lf = memchr(log.plain, '\n', log.plain_len);
		unsigned n = (unsigned)(lf - log.plain);

		if (!mux_record(&log.mux, log.plain, n, false))
			return;
		log.plain_len -= n + 1;
		memmove(log.plain, lf + 1, log.plain_len);
	}
}

static void pump_timer(void *arg, u64 now_ns)
{
	u64 next;

	(void)arg;
	spin_lock(&log.lock);
	next = mux_tick(&log.mux, now_ns);
	pump();
	record_pump(&log.store);
	send_plain();
	if (mux_pending(&log.mux))
		next = now_ns + PUMP_NS;
	spin_unlock(&log.lock);
	if (next != TIMER_OFF)
		schedule_pump(next);
	release_held();
}

static void after_write(void)
{
	pump();
	schedule_pump(clock_ns() + (mux_pending(&log.mux) ? PUMP_NS : MUX_FLUSH_NS));
}

void log_init(const struct cmdline *c)
{
	log.level = c->log;
	mux_init(&log.mux, &mux_ops);
	record_store_init(&log.store, store_emit, store_now, NULL);
	log.store.kept = store_kept;
	log.src_hv = mux_add_source(&log.mux, "hv");
	log.live = true;
}

int log_add_source(const char *name)
{
	int src;

	spin_lock(&log.lock);
	src = mux_add_source(&log.mux, name);
	spin_unlock(&log.lock);
	return src;
}

void log_rename_source(int src, const char *name)
{
	spin_lock(&log.lock);
	mux_rename_source(&log.mux, src, name);
	spin_unlock(&log.lock);
}

unsigned log_record(u64 *seq, char *line)
{
	unsigned len;

	spin_lock(&log.lock);
	len = record_look(&log.store, seq, line);
	spin_unlock(&log.lock);
	return len;
}

bool log_type(unsigned index, u8 byte)
{
	bool taken;

	spin_lock(&log.lock);
	taken = type_to(index, byte);
	spin_unlock(&log.lock);
	return taken;
}

void log_set_partition(unsigned index, int src)
{
	spin_lock(&log.lock);
	mux_set_partition(&log.mux, index, src);
	spin_unlock(&log.lock);
}

void log_write(int src, const char *buf, size_t len)
{
	if (src < 0)
		return;
	spin_lock(&log.lock);
	mux_write(&log.mux, src, buf, len, clock_ns());
	after_write();
	spin_unlock(&log.lock);
}

void log_charge(int src, unsigned n)
{
	spin_lock(&log.lock);
	mux_charge(&log.mux, src, n);
	spin_unlock(&log.lock);
}

bool log_room(int src)
{
	bool room;

	spin_lock(&log.lock);
	room = src < 0 || !mux_throttled(&log.mux, src);
	spin_unlock(&log.lock);
	if (!room)
		schedule_pump(clock_ns() + PUMP_NS); /* which lets go of who waits */
	return room;
}

int log_transfer(unsigned index, u64 ns)
{
	int rc = 0;

	spin_lock(&log.lock);
	if (ns)
		rc = mux_transfer_begin(&log.mux, index, clock_ns() + ns);
	else
		mux_transfer_end(&log.mux);
	after_write();
	spin_unlock(&log.lock);
	return rc;
}

void hv_log(enum log_level level, const char *fmt, ...)
{
	char line[MUX_LINE_MAX];
	va_list ap;
	int n;

	if (log.live && level > log.level)
		return;
	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	n = MIN(n, (int)sizeof(line) - 2);
	line[n++] = '\n';
	if (log.live) {
		log_write(log.src_hv, line, n);
		ctl_hv_line(line, n);
	} else {
		console_write(line, n);
	}
}

void log_plain(const char *fmt, ...)
{
	char line[MUX_LINE_MAX];
	va_list ap;
	unsigned n;

	va_start(ap, fmt);
	n = (unsigned)vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	n = MIN(n, (unsigned)sizeof(line) - 2);
	line[n++] = '\n';
	spin_lock(&log.lock);
	if (log.plain_len + n <= LOG_PLAIN_MAX) {
		memcpy(log.plain + log.plain_len, line, n);
		log.plain_len += n;
	}
	send_plain();
	after_write();
	spin_unlock(&log.lock);
}

bool record_send_unkept(struct record *r)
{
	bool sent;

	spin_lock(&log.lock);
	sent = record_end_unkept(&log.store, r);
	after_write();
	spin_unlock(&log.lock);
	return sent;
}

u32 log_waiting(void)
{
	return mux_waiting(&log.mux);
}

u64 log_records_dropped(void)
{
	return log.store.dropped;
}

void log_leave_screen(void)
{
	char rest[SCREENFUL];

	spin_lock(&log.lock);
	console_screen_stop(rest, mux_peek_last(&log.mux, rest, sizeof(rest)));
	spin_unlock(&log.lock);
}

void record_send(struct record *r, bool may_drop)
{
	spin_lock(&log.lock);
	record_end(&log.store, r, may_drop);
	after_write();
	spin_unlock(&log.lock);
}

void record_repeat(u64 from, u64 to)
{
	spin_lock(&log.lock);
	record_resend(&log.store, from, to);
	after_write();
	spin_unlock(&log.lock);
}

static void receive(void)
{
	struct pending_key key[KEY_QUEUE];
	unsigned n;
	int byte;

	spin_lock(&log.lock);
	for (unsigned i = 0; i < PUMP_MAX && (byte = console_rx()) >= 0; i++)
		mux_rx(&log.mux, (u8)byte, clock_ns());
	n = log.nkeys;
	memcpy(key, log.key, sizeof(key));
	log.nkeys = 0;
	if (n)
		after_write();
	spin_unlock(&log.lock);
	for (unsigned i = 0; i < n; i++)
		hypervisor_key(key[i].key, key[i].arg);
}

static void poll_input(void *arg, u64 now_ns)
{
	(void)arg;
	timer_set(&log.poll, now_ns + INPUT_POLL_NS);
}

static void console_interrupt(unsigned vector, struct trap_frame *f)
{
	(void)vector, (void)f;
	this_cpu()->attention = true;
}

void log_enable_input(void)
{
	irq_register(VECTOR_CONSOLE, console_interrupt);
	if (console_route_irq(VECTOR_CONSOLE, this_cpu()->apic_id) != 0)
		hv_log(LOG_DEBUG, "console: no interrupt, input is polled");
	/* Polled as well: an interrupt lost by the hardware costs latency only. */
	log.poll.fire = poll_input;
	poll_input(NULL, clock_ns());
}

/* Input has just been looked for. While other timers bring this CPU here, the poll takes no
 * interrupt of its own. */
static void put_off_poll(u64 now_ns)
{
	if (log.poll.queued && log.poll.deadline_ns < now_ns + INPUT_POLL_NS / 2)
		timer_set(&log.poll, now_ns + INPUT_POLL_NS);
}

void log_service(void)
{
	if (!log.live || this_cpu()->id != 0)
		return;
	receive();
	put_off_poll(clock_ns());
}

/* One tick can hold back what another lets go: until nothing is left. */
void log_drain(void)
{
	char buf[PUMP_CHUNK];
	unsigned n, wrote;

	spin_lock(&log.lock);
	mux_transfer_end(&log.mux);
	do {
		wrote = 0;
		record_pump(&log.store);
		send_plain();
		mux_tick(&log.mux, TIMER_OFF - 1);
		while ((n = mux_drain(&log.mux, buf, sizeof(buf)))) {
			console_write_raw(buf, n);
			wrote += n;
		}
	} while (wrote);
	console_flush();
	spin_unlock(&log.lock);
}

void log_drain_last(void)
{
	spin_lock(&log.lock);
	log.last = this_cpu();
	spin_unlock(&log.lock);
	log_drain();
}

static bool panic_emit(void *ctx, const char *line, unsigned len, bool may_drop)
{
	(void)ctx, (void)may_drop;
	console_write_raw("\r\n", 2);
	console_write_raw(line, len);
	console_write_raw("\r\n", 2);
	return true;
}

/* The lock may be held by a CPU that has just been stopped, so nothing here takes it: the ring may
 * end in a torn line, the record starts a new one. */
void log_panic(const char *reason)
{
	static struct record r;
	char buf[PUMP_CHUNK];
	unsigned n;

	if (!log.live)
		return;
	mux_transfer_end(&log.mux);
	while ((n = mux_drain(&log.mux, buf, sizeof(buf))))
		console_write_raw(buf, n);
	log.store.emit = panic_emit;
	record_begin(&r, "error");
	record_str(&r, "where", "panic");
	record_str(&r, "message", reason);
	record_end(&log.store, &r, false);
}
