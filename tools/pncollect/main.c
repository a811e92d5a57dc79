/* pncollect: collects what Penumbra says on its serial line, asks for what was damaged, and ends
 * with the guests' results as its exit status. README.md shows its use, docs/serial.md the format.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "collect.h"
#include "guests.h"
#include "input.h"
#include "keyboard.h"
#include "options.h"
#include "output.h"
#include "trace.h"

enum exit_status { EXIT_PASSED, EXIT_FAILED, EXIT_WRONG_USE, EXIT_NOT_COME, EXIT_LOST };

#define HELD_LIVE   (4u << 20)	/* bytes of records behind a gap */
#define HELD_FILE   (64u << 20) /* where the answer may stand at the end of the file */
#define PATIENCE_NS (10 * NSEC_PER_SEC)
#define IDLE_NS	    (20 * NSEC_PER_SEC)
#define LINGER_NS   (60 * NSEC_PER_SEC) /* for gaps, once the results are here */
#define STATUS_NS   (500 * NSEC_PER_MSEC)
#define CONNECT_S   10

struct app {
	struct options opt;
	struct input in;
	struct output out;
	struct collect collect;
	struct guests guests;
	struct keyboard keys;
	bool show_status, sent, stdin_open, ended;
	u64 lost, before;
	u64 bytes, rate, rate_bytes, rate_ns; /* rate: bytes per second of the last half second */
	u64 deadline_ns, linger_ns;
};

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
	(void)number;
	stopped = 1;
}

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * NSEC_PER_SEC + (u64)t.tv_nsec;
}

/* --- what the collector does ------------------------------------------------------------------ */

static void take_text(void *ctx, const char *name, struct span text)
{
	output_text(&((struct app *)ctx)->out, name, text);
}

static void take_record(void *ctx, const struct rec *r)
{
	output_record(&((struct app *)ctx)->out, r->line);
}

static void take_seen(void *ctx, const struct rec *r)
{
	guests_record(&((struct app *)ctx)->guests, r);
}

static void take_bulk(void *ctx, const struct rec *r)
{
	output_bulk(&((struct app *)ctx)->out, r->line);
}

static void clear_status(const struct app *a)
{
	if (a->show_status)
		fputs("\r\033[K", stderr);
}

static void take_lost(void *ctx, u64 from, u64 to, bool before, const char *why)
{
	struct app *a = ctx;

	*(before ? &a->before : &a->lost) += to - from + 1;
	if (before && a->opt.quiet)
		return;
	clear_status(a);
	fprintf(stderr, "pncollect: records %" PRIu64 " to %" PRIu64 " %s: %s\n", from, to,
		before ? "are from before" : "are lost", why);
}

static void take_session(void *ctx, unsigned n)
{
	struct app *a = ctx;

	clear_status(a);
	fprintf(stderr, "pncollect: the hypervisor started again; files go on as NAME.%u\n", n);
	output_session(&a->out, n);
	guests_reset(&a->guests);
}

static void take_send(void *ctx, const char *bytes, size_t n)
{
	struct app *a = ctx;
	int rc = input_write(&a->in, bytes, n);

	/* A request that did not go out is one that is not answered: it is made again. */
	if (rc && rc != -EAGAIN)
		a->ended = true;
}

/* --- the status line -------------------------------------------------------------------------- */

static void show_status(struct app *a, u64 now)
{
	const struct collect *c = &a->collect;
	char guests[160];
	u64 span = now - a->rate_ns;

	if (!a->show_status || span < STATUS_NS)
		return;
	a->rate = (a->bytes - a->rate_bytes) * NSEC_PER_SEC / span;
	a->rate_bytes = a->bytes;
	a->rate_ns = now;
	guests_text(&a->guests, guests, sizeof(guests));
	fprintf(stderr,
		"\r\033[K%.80s | %" PRIu64 " B/s | %" PRIu64 " records, %" PRIu64
		" damaged, %" PRIu64 " lost",
		guests, a->rate, c->records, c->damaged, a->lost);
}

static void summary(const struct app *a)
{
	const struct collect *c = &a->collect;
	char guests[400];

	guests_text(&a->guests, guests, sizeof(guests));
	fprintf(stderr,
		"pncollect: %s; %" PRIu64 " records, %" PRIu64 " damaged lines, %" PRIu64
		" requests, %" PRIu64 " lost\n",
		guests, c->records, c->damaged, c->requests, a->lost);
	if (a->before)
		fprintf(stderr, "pncollect: %" PRIu64 " records from before are not here\n",
			a->before);
	if (c->late)
		fprintf(stderr,
			"pncollect: %" PRIu64 " came too late for results.jsonl; pncollect split "
			"%s/serial.raw puts them in order\n",
			c->late, a->opt.dir);
}

/* --- the loop --------------------------------------------------------------------------------- */

static void read_line(struct app *a, u64 now)
{
	char buf[65536];
	ssize_t n = read(a->in.fd, buf, sizeof(buf));

	if (n > 0) {
		a->bytes += (u64)n;
		output_raw(&a->out, buf, (size_t)n);
		if (a->opt.interactive && write(STDOUT_FILENO, buf, (size_t)n) < 0)
			a->opt.interactive = false;
		collect_feed(&a->collect, buf, (size_t)n, now);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		if (n < 0)
			fprintf(stderr, "pncollect: %s: %s\n", a->opt.line, strerror(errno));
		a->ended = true;
	}
}

static void read_keys(struct app *a)
{
	char buf[256];
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));
	size_t taken;

	if (n <= 0) {
		a->stdin_open = false;
		return;
	}
	taken = keyboard_take(&a->keys, buf, (size_t)n);
	if (taken < (size_t)n)
		stopped = 1;
	if (a->in.duplex && taken)
		take_send(a, buf, taken);
	a->collect.hold = keyboard_busy(&a->keys);
}

/* Nothing is left to do: asked to stop, the line has ended, the results are here and the gaps
 * closed, or time is up. */
static bool finished(struct app *a, u64 now)
{
	if (stopped || a->ended || now >= a->deadline_ns)
		return true;
	if (!a->opt.wait || !guests_have(&a->guests, a->opt.wait))
		return false;
	if (!collect_wants_more(&a->collect))
		return true;
	if (a->linger_ns == COLLECT_NEVER)
		a->linger_ns = now + LINGER_NS;
	return now >= a->linger_ns;
}

static int poll_ms(const struct app *a, u64 until, u64 now)
{
	until = MIN(until, a->deadline_ns);
	until = MIN(until, a->linger_ns);
	if (a->show_status)
		until = MIN(until, a->rate_ns + STATUS_NS);
	if (until == COLLECT_NEVER)
		return -1;
	return until <= now ? 0 : (int)MIN((until - now) / NSEC_PER_MSEC + 1, 1000000);
}

static void send_text(struct app *a)
{
	if (a->sent || !a->collect.alive || !a->opt.send_len)
		return;
	a->sent = true;
	if (a->in.duplex)
		take_send(a, a->opt.send, a->opt.send_len);
}

static void loop(struct app *a)
{
	u64 now = now_ns();

	while (!finished(a, now)) {
		u64 until = collect_tick(&a->collect, now);
		struct pollfd fds[2] = {{a->in.fd, POLLIN, 0},
					{a->stdin_open ? STDIN_FILENO : -1, POLLIN, 0}};
		int ready = poll(fds, 2, poll_ms(a, until, now));

		now = now_ns();
		if (ready > 0 && fds[0].revents)
			read_line(a, now);
		if (ready > 0 && fds[1].revents)
			read_keys(a);
		send_text(a);
		output_flush(&a->out);
		show_status(a, now);
	}
}

static enum exit_status judge(const struct app *a)
{
	if (a->opt.wait && !guests_have(&a->guests, a->opt.wait))
		return EXIT_NOT_COME;
	if (guests_failed(&a->guests))
		return EXIT_FAILED;
	return a->lost || a->out.error ? EXIT_LOST : EXIT_PASSED;
}

static void start(struct app *a)
{
	const struct collect_ops ops = {
		.text = take_text,
		.record = take_record,
		.seen = take_seen,
		.bulk = take_bulk,
		.lost = take_lost,
		.session = take_session,
		.send = a->in.duplex && a->opt.ask ? take_send : NULL,
		.ctx = a,
	};
	u64 now = now_ns();

	collect_init(&a->collect, &ops, a->in.whole ? HELD_FILE : HELD_LIVE);
	a->collect.last_record_ns = now;
	if (a->opt.wait && ops.send)
		collect_watch_idle(&a->collect, IDLE_NS);
	if (!a->in.whole)
		a->collect.patience_ns = PATIENCE_NS;
	a->deadline_ns = a->opt.timeout_s ? now + a->opt.timeout_s * NSEC_PER_SEC : COLLECT_NEVER;
	a->linger_ns = COLLECT_NEVER;
	a->rate_ns = now;
	a->show_status = !a->opt.quiet && !a->opt.interactive && isatty(STDERR_FILENO);
	a->stdin_open = a->opt.interactive;
}

static void catch_signals(void)
{
	struct sigaction act = {.sa_handler = on_signal};

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGHUP, &act, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static enum exit_status collect(struct app *a)
{
	const char *dir = a->opt.command == COMMAND_CHECK ? NULL : a->opt.dir;

	if (input_open(&a->in, a->opt.line, a->opt.baud, CONNECT_S) ||
	    output_open(&a->out, dir, a->opt.force, a->opt.command == COMMAND_COLLECT))
		return EXIT_WRONG_USE;
	catch_signals();
	start(a);
	if (a->opt.interactive) {
		keyboard_raw();
		atexit(keyboard_restore);
	}
	loop(a);
	collect_finish(&a->collect);
	output_close(&a->out);
	clear_status(a);
	if (!a->opt.quiet)
		summary(a);
	return judge(a);
}

static enum exit_status trace_status(int rc)
{
	return !rc ? EXIT_PASSED : rc == -EBADMSG ? EXIT_LOST : EXIT_WRONG_USE;
}

int main(int argc, char **argv)
{
	static struct app app;

	if (options_parse(&app.opt, argc, argv))
		return EXIT_WRONG_USE;
	if (app.opt.command == COMMAND_TRACE)
		return (int)trace_status(trace_command(app.opt.line));
	return (int)collect(&app);
}
