/* The event loop's wiring.
 *
 * A turn of the loop: take all events in, then serve all rings, then ask for bells and look once
 * more, hand what is due to the kernel and the hypervisor, sleep. The interrupt is let through
 * again only after that, so it costs one exit however much it brings.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/say.h"

#define SAFETY_NS     NSEC_PER_SEC	   /* a look while something is outstanding */
#define BLIND_NS      (10 * NSEC_PER_MSEC) /* between looks without any interrupt */
#define STOP_PATIENCE (5 * NSEC_PER_SEC)   /* for transfers in flight at SIGTERM */
#define AIO_DEPTH     256u

struct daemon {
	const struct daemon_options *options;
	struct loop loop;
	struct transport transport;
	struct area area;
	struct aio aio;
	struct blk blk;
	struct net net;
	struct calls calls;
	struct logs logs;
	struct console console;
	struct server server;
	struct loop_source irq, signals, mounts, uevents;
	struct loop_timer safety, again, give_up;
	bool irq_taken;
	bool stopping;
	u64 irqs, turns;
	u64 start_ns;
};

/* --- the turn --- */

static void serve(struct daemon *d)
{
	blk_service(&d->blk);
	net_service(&d->net);
	console_service(&d->console);
	calls_service(&d->calls);
	server_service(&d->server);
}

/* Awake, we need no bells; @on: before sleep. True: something has come meanwhile. */
static bool ask_bells(struct daemon *d, bool on)
{
	bool more = false;

	for (unsigned i = 0; i < CHAN_RINGS; i++) {
		if (!(AREA_CONSUMED & 1u << i))
			continue;
		if (i == CHAN_BLK_REQ && (!d->blk.free || d->blk.paused))
			ring_ask_bell(&d->area.ring[i], false); /* would only be told again */
		else
			more |= ring_ask_bell(&d->area.ring[i], on);
	}
	return more;
}

static void check_rings(struct daemon *d)
{
	enum chan_ring_id id = area_dead_ring(&d->area);

	if (id == CHAN_RINGS || d->loop.stop)
		return;
	say("ring %d of the channel has impossible indices: starting anew", (int)id);
	loop_stop(&d->loop, DAEMON_RESTART);
}

static bool outstanding(const struct daemon *d)
{
	return d->blk.busy || calls_open(&d->calls) || d->net.waits || server_waits(&d->server);
}

static void stop_when_idle(struct daemon *d)
{
	if (!d->stopping)
		return;
	logs_flush(&d->logs);
	if (!d->blk.busy && logs_idle(&d->logs))
		loop_stop(&d->loop, DAEMON_STOPPED);
}

static void turn_end(void *arg)
{
	struct daemon *d = arg;
	struct transport *t = &d->transport;

	d->turns++;
	ask_bells(d, false);
	/* All rings are looked at, so ISR is cleared, not read: one exit less. */
	if (d->irq_taken)
		t->ops->reg_write(t, CHAN_REG_ISR, ~0u);
	serve(d);
	if (ask_bells(d, true))
		loop_timer_arm(&d->loop, &d->again, 0);
	stop_when_idle(d);
	aio_flush(&d->aio);
	area_ring_bells(&d->area);
	if (d->irq_taken) {
		d->irq_taken = false;
		t->ops->irq_enable(t);
	}
	check_rings(d);
	if (!d->safety.due_ns && (d->irq.fd < 0 || outstanding(d)))
		loop_timer_arm(&d->loop, &d->safety, d->irq.fd < 0 ? BLIND_NS : SAFETY_NS);
}

/* --- events --- */

static void irq_ready(void *arg, u32 events)
{
	struct daemon *d = arg;

	(void)events;
	d->irqs++;
	d->transport.ops->irq_taken(&d->transport);
	d->irq_taken = true;
}

static void look_again(void *arg)
{
	(void)arg; /* the turn's end does it */
}

static void safety_look(void *arg)
{
	struct daemon *d = arg;

	if (d->blk.opens)
		blk_retry_opens(&d->blk);
}

static void patience_over(void *arg)
{
	struct daemon *d = arg;

	say("transfers do not end: stopping all the same");
	loop_stop(&d->loop, DAEMON_STOPPED);
}

static void begin_stop(struct daemon *d)
{
	if (d->stopping)
		return;
	d->stopping = true;
	blk_stop(&d->blk);
	loop_timer_arm(&d->loop, &d->give_up, STOP_PATIENCE);
}

static void signal_ready(void *arg, u32 events)
{
	struct daemon *d = arg;
	struct signalfd_siginfo s;

	(void)events;
	if (read(d->signals.fd, &s, sizeof(s)) != sizeof(s))
		return;
	if (s.ssi_signo == SIGHUP)
		logs_media_changed(&d->logs);
	else
		begin_stop(d);
}

static void media_changed(struct daemon *d)
{
	blk_retry_opens(&d->blk);
}

/* proc_pid_mounts(5): EPOLLERR and EPOLLPRI mark a change; there is nothing to read. */
static void mounts_changed(void *arg, u32 events)
{
	struct daemon *d = arg;

	(void)events;
	media_changed(d);
	logs_media_changed(&d->logs);
}

static void uevent_ready(void *arg, u32 events)
{
	struct daemon *d = arg;
	char message[2048];

	(void)events;
	while (recv(d->uevents.fd, message, sizeof(message), MSG_DONTWAIT) > 0)
		;
	media_changed(d);
}

/* --- about --- */

static void about_media(struct daemon *d, void (*line)(void *, const char *), void *to)
{
	char text[1024];

	for (unsigned i = 0; i < MEDIA_MAX; i++) {
		const struct medium *m = &d->blk.media[i].medium;
		const struct medium_counts *n = &m->counts;

		if (!m->used)
			continue;
		snprintf(text, sizeof(text),
			 "medium guest=%s path=%s bytes=%llu readonly=%d direct=%d reads=%llu "
			 "read_bytes=%llu writes=%llu written_bytes=%llu flushes=%llu errors=%llu",
			 m->guest, m->path, (unsigned long long)m->size, m->readonly, m->direct,
			 (unsigned long long)n->reads, (unsigned long long)n->read_bytes,
			 (unsigned long long)n->writes, (unsigned long long)n->written_bytes,
			 (unsigned long long)n->flushes, (unsigned long long)n->errors);
		line(to, text);
	}
}

static void about_ports(struct daemon *d, void (*line)(void *, const char *), void *to)
{
	char text[256];

	for (unsigned i = 0; i < CHAN_NET_PORTS; i++) {
		const struct net_port *p = &d->net.port[i];

		if (!p->up)
			continue;
		snprintf(text, sizeof(text),
			 "port guest=%s backend=%s%s link=%d to_guest=%llu from_guest=%llu "
			 "dropped=%llu why=%s",
			 p->guest, p->bridged ? "bridge:" : "switch", p->nic, p->link,
			 (unsigned long long)p->to_guest, (unsigned long long)p->from_guest,
			 (unsigned long long)p->dropped, p->why);
		line(to, text);
	}
}

static void about(void *arg, void (*line)(void *, const char *), void *to)
{
	struct daemon *d = arg;
	char text[512];

	snprintf(text, sizeof(text),
		 "daemon up_us=%llu aio=%s requests=%llu slots=%u interrupts=%llu turns=%llu",
		 (unsigned long long)((loop_now() - d->start_ns) / NSEC_PER_USEC), d->aio.ops->name,
		 (unsigned long long)d->aio.requests, d->area.pool_slots,
		 (unsigned long long)d->irqs, (unsigned long long)d->turns);
	line(to, text);
	snprintf(text, sizeof(text), "logs dir=%s stopped=%d written_bytes=%llu lost_bytes=%llu",
		 d->logs.dir, d->logs.stopped, (unsigned long long)d->logs.written,
		 (unsigned long long)d->logs.lost);
	line(to, text);
	about_media(d, line, to);
	about_ports(d, line, to);
}

/* --- start and end --- */

static int watch_signals(struct daemon *d)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a full medium is an error of write(), nothing more */
	d->signals = (struct loop_source){.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
					  .ready = signal_ready,
					  .arg = d};
	return d->signals.fd < 0 ? -errno : loop_add(&d->loop, &d->signals, EPOLLIN);
}

/* Neither is needed to work, only to notice a medium at once. */
static void watch_media(struct daemon *d)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = 1};

	d->mounts = (struct loop_source){.fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC),
					 .ready = mounts_changed,
					 .arg = d};
	if (d->mounts.fd >= 0)
		loop_add(&d->loop, &d->mounts, EPOLLPRI | EPOLLET);
	d->uevents = (struct loop_source){.fd = socket(AF_NETLINK,
						       SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
						       NETLINK_KOBJECT_UEVENT),
					  .ready = uevent_ready,
					  .arg = d};
	if (d->uevents.fd >= 0 && !bind(d->uevents.fd, (struct sockaddr *)&a, sizeof(a)))
		loop_add(&d->loop, &d->uevents, EPOLLIN);
}

static int attach(struct daemon *d)
{
	struct transport *t = &d->transport;
	int rc;

	*t = (struct transport){
		.ops = d->options->transport, .want_pages = d->options->pages, .irq_fd = -1};
	rc = t->ops->open(t);
	if (rc)
		return rc;
	if (t->ops->reg_read(t, CHAN_REG_MAGIC) != CHAN_MAGIC ||
	    t->ops->reg_read(t, CHAN_REG_ABI) != CHAN_ABI) {
		say("the hypervisor's channel has version %u, we have %u",
		    t->ops->reg_read(t, CHAN_REG_ABI), CHAN_ABI);
		return -EPROTO;
	}
	/* Before there is a page of ours: the last daemon's may be among them. */
	t->ops->reg_write(t, CHAN_REG_ENABLE, 0);
	transport_command(t, CHAN_CMD_DETACH, 0);
	rc = t->ops->map_area(t);
	if (!rc)
		rc = area_attach(&d->area, t);
	return rc;
}

static int watch_irq(struct daemon *d)
{
	struct transport *t = &d->transport;

	d->irq = (struct loop_source){.fd = t->irq_fd, .ready = irq_ready, .arg = d};
	if (d->irq.fd < 0) {
		say("the channel has no interrupt: looking every 10 ms");
		return 0;
	}
	t->ops->irq_enable(t);
	return loop_add(&d->loop, &d->irq, EPOLLIN);
}

static int open_aio(struct daemon *d)
{
	if (!d->options->aio)
		return aio_open(&d->aio, &d->loop, AIO_DEPTH);
	d->aio = (struct aio){.ops = d->options->aio, .loop = &d->loop};
	return d->aio.ops->open(&d->aio, AIO_DEPTH);
}

static dev_t root_device(const struct daemon *d)
{
	struct stat st;

	return d->options->on_medium_only && !stat("/", &st) ? st.st_dev : 0;
}

static int start_services(struct daemon *d)
{
	const struct daemon_options *o = d->options;
	struct medium_search search = {.dirs = o->search, .ram_dev = root_device(d)};
	int rc = open_aio(d);

	if (rc)
		return rc;
	blk_init(&d->blk, &d->area, &d->aio, &search, o->open_patience_ns);
	logs_init(&d->logs, &d->loop, &d->aio, o->logs, o->log_max, search.ram_dev);
	console_init(&d->console, &d->area, &d->logs);
	calls_init(&d->calls, &d->area);
	rc = net_init(&d->net, &d->loop, &d->area);
	if (rc)
		return rc;
	d->server.about = NULL;
	rc = server_init(&d->server, o->socket, &d->loop, &d->area, &d->calls, &d->console);
	d->server.about = about;
	d->server.about_arg = d;
	return rc;
}

static void begin(struct daemon *d)
{
	struct transport *t = &d->transport;

	d->loop.turn_end = turn_end;
	d->loop.turn_arg = d;
	d->safety = (struct loop_timer){.fire = safety_look, .arg = d};
	d->again = (struct loop_timer){.fire = look_again, .arg = d};
	d->give_up = (struct loop_timer){.fire = patience_over, .arg = d};
	server_ask_names(&d->server);
	t->ops->reg_write(t, CHAN_REG_ENABLE, (1u << CHAN_RINGS) - 1);
	transport_command(t, CHAN_CMD_READY, 0);
	loop_timer_arm(&d->loop, &d->again, 0);
	say("ready: %u pages, %u buffers, %s", t->npages, d->area.pool_slots, d->aio.ops->name);
}

static void end(struct daemon *d)
{
	struct transport *t = &d->transport;

	t->ops->reg_write(t, CHAN_REG_ENABLE, 0);
	area_ring_bells(&d->area);
	area_detach(&d->area);
	server_close(&d->server);
	calls_close(&d->calls);
	net_close(&d->net);
	console_close(&d->console);
	aio_close(&d->aio);
	logs_close(&d->logs);
	blk_close(&d->blk);
}

enum daemon_end daemon_run(const struct daemon_options *options)
{
	struct daemon *d = calloc(1, sizeof(*d));
	int rc = d ? 0 : -ENOMEM, status = DAEMON_FAILED;

	if (!d)
		return DAEMON_FAILED;
	d->options = options;
	d->start_ns = loop_now();
	rc = loop_init(&d->loop);
	if (!rc)
		rc = watch_signals(d);
	if (!rc)
		rc = attach(d);
	if (!rc)
		rc = start_services(d);
	if (!rc)
		rc = watch_irq(d);
	if (!rc) {
		watch_media(d);
		begin(d);
		status = loop_run(&d->loop);
		end(d);
	} else {
		say("cannot start: %s", strerror(-rc));
	}
	d->transport.ops->close(&d->transport);
	loop_close(&d->loop);
	free(d);
	return (enum daemon_end)status;
}
