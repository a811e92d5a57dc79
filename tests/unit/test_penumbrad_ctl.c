/* penumbrad's control side and pnctl: requests and answers mixed up between clients, a client that
 * does not read holding up others, a console that loses or repeats, logs that stop for good when a
 * medium is full or gone, records written in pieces, rings with impossible contents, wrong exit
 * codes and messages of pnctl.
 *
 * SRCS: tests/unit/fake_channel.c
 * SRCS: rootfs/lib/loop.c rootfs/lib/say.c rootfs/lib/modprobe.c rootfs/penumbrad/daemon.c
 * SRCS: rootfs/penumbrad/aio.c rootfs/penumbrad/aio_threads.c rootfs/penumbrad/aio_uring.c
 * SRCS: rootfs/penumbrad/area.c rootfs/penumbrad/blk.c rootfs/penumbrad/medium.c
 * SRCS: rootfs/penumbrad/mounts.c rootfs/penumbrad/net.c rootfs/penumbrad/switch.c
 * SRCS: rootfs/penumbrad/bridge.c rootfs/penumbrad/calls.c rootfs/penumbrad/console.c
 * SRCS: rootfs/penumbrad/logfile.c rootfs/penumbrad/server.c rootfs/penumbrad/uio.c
 * SRCS: rootfs/penumbrad/hugepages.c
 * SRCS: rootfs/pnctl/client.c rootfs/pnctl/table.c rootfs/pnctl/show.c rootfs/pnctl/console.c
 * SRCS: rootfs/pnctl/commands.c rootfs/pnctl/line.c hv/core/nearest.c
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_channel.h"
#include "rootfs/pnctl/pnctl.h"
#include "unit.h"

/* --- the hypervisor's answers --- */

static void reply(struct fake_channel *f, u32 id, u16 kind, s32 status, const void *data,
		  size_t len)
{
	struct chan_ctl_reply r = {.id = id, .kind = kind, .len = (u16)len, .status = status};

	memcpy(r.data, data, len);
	CHECK(fake_put(f, CHAN_CTL_REPLY, &r));
}

static void end(struct fake_channel *f, u32 id, s32 status, const char *why)
{
	reply(f, id, CHAN_REPLY_END, status, why, strlen(why));
}

static void answer_list(struct fake_channel *f, u32 id)
{
	struct chan_ctl_guest g = {.name = "control", .state = CHAN_GUEST_RUNNING};

	reply(f, id, CHAN_REPLY_ROW, 0, &g, sizeof(g));
	g = (struct chan_ctl_guest){.name = "alpha",
				    .index = 1,
				    .state = CHAN_GUEST_ENDED,
				    .status = CHAN_STATUS_PASS,
				    .paging = CHAN_PAGING_NESTED,
				    .memory = 512 * MIB,
				    .up_us = 61000000,
				    .guest_us = 30500000,
				    .exits = 123456,
				    .detail = "says \"bye\""};
	reply(f, id, CHAN_REPLY_ROW, 0, &g, sizeof(g));
	end(f, id, 0, "");
}

/* The next request that is not a question for names. */
static struct chan_ctl_req next_request(struct fake_channel *f)
{
	struct chan_ctl_req q = {0};

	CHECK(fake_get(f, CHAN_CTL_REQ, &q));
	return q;
}

static void begin(struct fake_channel *f)
{
	struct chan_ctl_req q;

	fake_init(f, NULL);
	CHECK(fake_start(f));
	q = next_request(f); /* who is who? */
	CHECK_EQ(q.op, CHAN_CTL_LIST);
	answer_list(f, q.id);
}

static void finish(struct fake_channel *f)
{
	CHECK_EQ(fake_stop(f), DAEMON_STOPPED);
	CHECK(!fake_said_times(f, "AddressSanitizer"));
	fake_fini(f);
}

/* --- pnctl in a child, its output in a file --- */

static pid_t pnctl(struct fake_channel *f, const char *words)
{
	char line[256], *argv[16] = {(char *)"pnctl", (char *)"--socket", f->socket};
	int argc = 3, fd;
	pid_t pid;

	snprintf(line, sizeof(line), "%s", words);
	for (char *w = strtok(line, " "); w; w = strtok(NULL, " "))
		argv[argc++] = w;
	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	fd = open(fake_path(f, "out"), O_WRONLY | O_CREAT | O_TRUNC, 0644);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	fd = open("/dev/null", O_RDONLY);
	dup2(fd, STDIN_FILENO);
	argc = pnctl_main(argc, argv);
	fflush(stdout);
	_exit(argc);
}

static int status_of(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char *text_of(struct fake_channel *f, const char *name)
{
	static char text[65536];
	int fd = open(fake_path(f, name), O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	close(fd);
	return text;
}

static bool has(const char *text, const char *part)
{
	if (strstr(text, part))
		return true;
	printf("# no \"%s\" in: %.300s\n", part, text);
	return false;
}

TEST(list_as_table_and_as_json)
{
	struct fake_channel f;
	pid_t pid;

	begin(&f);
	pid = pnctl(&f, "list");
	answer_list(&f, next_request(&f).id);
	CHECK_EQ(status_of(pid), 0);
	CHECK(has(text_of(&f, "out"), "N  NAME     STATE"));
	CHECK(has(text_of(&f, "out"), "1  alpha    ended: pass  nested (adaptive)"));
	CHECK(has(text_of(&f, "out"), "1m01s  50%"));
	pid = pnctl(&f, "--json list");
	answer_list(&f, next_request(&f).id);
	CHECK_EQ(status_of(pid), 0);
	CHECK(has(text_of(&f, "out"),
		  "\"name\":\"alpha\",\"state\":\"ended\",\"status\":\"pass\""));
	CHECK(has(text_of(&f, "out"), "\"detail\":\"says \\\"bye\\\"\"}]}"));
	finish(&f);
}

TEST(commands_reach_the_hypervisor_with_their_arguments)
{
	static const struct {
		const char *words;
		u32 op;
		u64 arg, arg2;
		const char *name;
	} cases[] = {
		{"start alpha", CHAN_CTL_START, 0, 0, "alpha"},
		{"stop alpha", CHAN_CTL_STOP, 0, 0, "alpha"},
		{"stop --force alpha", CHAN_CTL_STOP, 1, 0, "alpha"},
		{"reset alpha", CHAN_CTL_RESET, 0, 0, "alpha"},
		{"pause alpha", CHAN_CTL_PAUSE, 0, 0, "alpha"},
		{"resume alpha", CHAN_CTL_RESUME, 0, 0, "alpha"},
		{"destroy alpha", CHAN_CTL_DESTROY, 0, 0, "alpha"},
		{"paging alpha shadow", CHAN_CTL_PAGING, CHAN_PAGING_SHADOW, 0, "alpha"},
		{"trace exits", CHAN_CTL_TRACE, 1, 0, ""},
		{"screendump alpha", CHAN_CTL_SCREEN, 0, 0, "alpha"},
		{"records 3-9", CHAN_CTL_RECORDS, 3, 9, ""},
		{"records 4", CHAN_CTL_RECORDS, 4, 4, ""},
		{"records", CHAN_CTL_RECORDS, 0, UINT64_MAX, ""},
		{"poweroff", CHAN_CTL_POWER, 0, 0, ""},
		{"reboot", CHAN_CTL_POWER, 1, 0, ""},
	};
	struct fake_channel f;

	begin(&f);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		pid_t pid = pnctl(&f, cases[i].words);
		struct chan_ctl_req q = next_request(&f);

		CHECK_EQ(q.op, cases[i].op);
		CHECK_EQ(q.arg, cases[i].arg);
		CHECK_EQ(q.arg2, cases[i].arg2);
		CHECK_STR(q.name, cases[i].name);
		end(&f, q.id, 0, "");
		CHECK_EQ(status_of(pid), 0);
	}
	finish(&f);
}

TEST(a_refusal_gives_its_reason_and_status_1)
{
	struct fake_channel f;
	pid_t pid;

	begin(&f);
	pid = pnctl(&f, "start alpha");
	end(&f, next_request(&f).id, -EBUSY, "alpha is running");
	CHECK_EQ(status_of(pid), 1);
	CHECK_STR(text_of(&f, "out"), "pnctl: alpha is running\n");
	pid = pnctl(&f, "--json start alpha");
	end(&f, next_request(&f).id, -ENOENT, "");
	CHECK_EQ(status_of(pid), 1);
	CHECK(has(text_of(&f, "out"), "{\"ok\":false}"));
	CHECK(has(text_of(&f, "out"), "No such file"));
	finish(&f);
}

TEST(nonsense_gives_status_2_and_a_hint)
{
	static const struct {
		const char *words, *says;
	} cases[] = {
		{"lst", "did you mean \"list\"?"},
		{"xyzzy", "pnctl help lists"},
		{"start", "usage: pnctl start NAME"},
		{"start a b", "usage: pnctl start NAME"},
		{"start --force a", "usage: pnctl start NAME"},
		{"list --jsn", "did you mean \"--json\"?"},
		{"paging alpha shadwo", "did you mean \"shadow\"?"},
		{"config chekc x", "did you mean \"check\"?"},
		{"records 9-3", "is no range of records"},
		{"records -1", "no option"},
		{"trace dump", "usage: pnctl trace"},
		{"", "usage: pnctl"},
	};
	struct fake_channel f;

	fake_init(&f, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CHECK_EQ(status_of(pnctl(&f, cases[i].words)), 2);
		CHECK(has(text_of(&f, "out"), cases[i].says));
	}
	CHECK_EQ(status_of(pnctl(&f, "help")), 0);
	CHECK_EQ(status_of(pnctl(&f, "list")), 1);
	CHECK(has(text_of(&f, "out"), "penumbrad is not running"));
	fake_fini(&f);
}

TEST(the_line_is_lent_while_a_command_runs)
{
	static const struct {
		const char *words;
		int status;
	} cases[] = {
		{"line true", 0},
		{"line -- expr 1 = 2", 1},
		{"line -- sh -c kill${IFS}-9${IFS}$$", 128 + 9},
		{"line /no/such/program", 127},
	};
	struct fake_channel f;
	struct chan_ctl_req q;
	pid_t pid;

	begin(&f);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		pid = pnctl(&f, cases[i].words);
		q = next_request(&f);
		CHECK_EQ(q.op, CHAN_CTL_LINE);
		CHECK(q.arg >= 10000 && q.arg <= CHAN_LINE_MS_MAX);
		end(&f, q.id, 0, "");
		q = next_request(&f);
		CHECK_EQ(q.op, CHAN_CTL_LINE);
		CHECK_EQ(q.arg, 0);
		end(&f, q.id, 0, "");
		CHECK_EQ(status_of(pid), cases[i].status);
	}
	pid = pnctl(&f, "line echo started");
	end(&f, next_request(&f).id, -EBUSY, "Ctrl-] 0 first");
	CHECK_EQ(status_of(pid), 1);
	CHECK_STR(text_of(&f, "out"), "pnctl: Ctrl-] 0 first\n");
	finish(&f);
}

TEST(a_config_travels_whole_and_its_errors_come_back)
{
	static const char text[] = "[guest x]\nmemroy = 1G\n";
	struct fake_channel f;
	struct chan_ctl_req q;
	char words[256], line[300];
	pid_t pid;
	int fd;

	begin(&f);
	fd = open(fake_path(&f, "x.conf"), O_WRONLY | O_CREAT, 0644);
	CHECK(write(fd, text, sizeof(text) - 1) == sizeof(text) - 1);
	close(fd);
	snprintf(words, sizeof(words), "config check %s", fake_path(&f, "x.conf"));
	pid = pnctl(&f, words);
	q = next_request(&f);
	CHECK_EQ(q.op, CHAN_CTL_CONFIG_CHECK);
	CHECK_EQ(q.len, sizeof(text) - 1);
	CHECK(!memcmp(f.area + q.data, text, q.len));
	/* A line that takes more than one row. */
	memset(line, 'e', sizeof(line));
	{
		struct chan_ctl_reply r = {
			.id = q.id, .kind = CHAN_REPLY_TEXT, .len = 240, .more = 1};

		memcpy(r.data, line, 240);
		CHECK(fake_put(&f, CHAN_CTL_REPLY, &r));
	}
	reply(&f, q.id, CHAN_REPLY_TEXT, 0, line, 60);
	reply(&f, q.id, CHAN_REPLY_TEXT, 0, "config:2: x: told", 17);
	end(&f, q.id, -EINVAL, "1 error");
	CHECK_EQ(status_of(pid), 1);
	CHECK(has(text_of(&f, "out"), "x.conf:2: x: told"));
	CHECK_EQ(strspn(text_of(&f, "out"), "e") == 300 || strstr(text_of(&f, "out"), "1 error"),
		 1);
	CHECK_EQ(status_of(pnctl(&f, "config load /no/such/file")), 1);
	CHECK(has(text_of(&f, "out"), "/no/such/file: No such file"));
	finish(&f);
}

TEST(answers_go_to_who_asked)
{
	struct fake_channel f;
	struct chan_ctl_req a, b;
	pid_t x, y;

	begin(&f);
	x = pnctl(&f, "start alpha");
	a = next_request(&f);
	y = pnctl(&f, "start beta");
	b = next_request(&f);
	CHECK(a.id != b.id);
	end(&f, b.id, 0, "");
	CHECK_EQ(status_of(y), 0);
	end(&f, 999999, -EIO, "nobody's");
	end(&f, a.id, -EBUSY, "");
	CHECK_EQ(status_of(x), 1);
	finish(&f);
}

/* --- raw clients --- */

static int connect_to(struct fake_channel *f)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", f->socket);
	CHECK(!connect(fd, (struct sockaddr *)&a, sizeof(a)));
	return fd;
}

static void ask_for(int fd, u32 op, const char *name)
{
	struct pn_request q = {.magic = PN_REQUEST_MAGIC, .op = op};

	snprintf(q.name, sizeof(q.name), "%s", name);
	CHECK(send(fd, &q, sizeof(q), 0) == sizeof(q));
}

/* Bytes of the next packet, or 0 at the end of the connection, or -1 after 5 s. */
static ssize_t packet(int fd, void *p, size_t size)
{
	struct pollfd w = {.fd = fd, .events = POLLIN};

	return poll(&w, 1, 5000) == 1 ? recv(fd, p, size, 0) : -1;
}

TEST(garbage_from_a_client_ends_only_that_client)
{
	struct fake_channel f;
	struct chan_ctl_reply r;
	int fd, other;

	begin(&f);
	other = connect_to(&f);
	fd = connect_to(&f);
	CHECK(send(fd, "hello", 5, 0) == 5);
	CHECK(packet(fd, &r, sizeof(r)) > 0);
	CHECK_EQ(r.status, -EPROTO);
	CHECK_EQ(packet(fd, &r, sizeof(r)), 0);
	close(fd);
	ask_for(other, PN_DAEMON, "");
	CHECK(packet(other, &r, sizeof(r)) > 0);
	CHECK_EQ(r.kind, CHAN_REPLY_TEXT);
	CHECK(!memcmp(r.data, "daemon up_us=", 13));
	close(other);
	finish(&f);
}

static void say_serial(struct fake_channel *f, u8 index, const char *text)
{
	struct chan_con e = {.kind = CHAN_CON_SERIAL, .index = index, .len = (u8)strlen(text)};

	memcpy(e.data, text, e.len);
	while (!fake_put(f, CHAN_CON_OUT, &e))
		usleep(1000);
}

static void expect_text(int fd, const char *text)
{
	struct chan_con e;

	CHECK(packet(fd, &e, sizeof(e)) > 0);
	CHECK_EQ(e.len, strlen(text));
	CHECK(!memcmp(e.data, text, e.len));
}

TEST(a_console_has_the_past_then_the_present_and_takes_keys)
{
	struct fake_channel f;
	struct chan_ctl_reply r;
	struct chan_con e = {.len = 3, .data = "ls\r"};
	int fd;

	begin(&f);
	say_serial(&f, 1, "login: ");
	fd = connect_to(&f);
	ask_for(fd, PN_CONSOLE, "alpha");
	answer_list(&f, next_request(&f).id);
	CHECK(packet(fd, &r, sizeof(r)) > 0);
	CHECK_EQ(r.kind, CHAN_REPLY_END);
	CHECK_EQ(r.status, 0);
	expect_text(fd, "login: ");
	say_serial(&f, 1, "root");
	expect_text(fd, "root");
	CHECK(send(fd, &e, offsetof(struct chan_con, data) + 3, 0) > 0);
	memset(&e, 0, sizeof(e));
	CHECK(fake_get(&f, CHAN_CON_IN, &e));
	CHECK_EQ(e.index, 1);
	CHECK_EQ(e.len, 3);
	CHECK(!memcmp(e.data, "ls\r", 3));
	close(fd);
	fd = connect_to(&f);
	ask_for(fd, PN_CONSOLE, "nobody");
	answer_list(&f, next_request(&f).id);
	CHECK(packet(fd, &r, sizeof(r)) > 0);
	CHECK_EQ(r.status, -ENOENT);
	close(fd);
	/* What it printed would be printed again, for ever. */
	fd = connect_to(&f);
	ask_for(fd, PN_CONSOLE, "control");
	answer_list(&f, next_request(&f).id);
	CHECK(packet(fd, &r, sizeof(r)) > 0);
	CHECK_EQ(r.status, -ELOOP);
	close(fd);
	finish(&f);
}

TEST(a_client_that_does_not_read_is_cut_off_and_others_go_on)
{
	struct fake_channel f;
	struct chan_ctl_reply r;
	char text[201];
	int slow, quick;

	begin(&f);
	slow = connect_to(&f);
	ask_for(slow, PN_CONSOLE, "alpha");
	answer_list(&f, next_request(&f).id);
	memset(text, 'x', 200);
	text[200] = '\0';
	for (int i = 0; i < 20000 && !fake_said_times(&f, "cut off"); i += 200)
		for (int j = 0; j < 200; j++)
			say_serial(&f, 1, text);
	CHECK(fake_said(&f, "cut off"));
	quick = connect_to(&f);
	ask_for(quick, PN_DAEMON, "");
	CHECK(packet(quick, &r, sizeof(r)) > 0);
	close(quick);
	close(slow);
	finish(&f);
}

/* --- logs --- */

static bool log_has(struct fake_channel *f, const char *name, const char *text)
{
	u64 until = loop_now() + 5 * NSEC_PER_SEC;

	while (loop_now() < until) {
		if (strstr(text_of(f, name), text))
			return true;
		usleep(10000);
	}
	return has(text_of(f, name), text);
}

static void say_record(struct fake_channel *f, const char *text, u8 more)
{
	struct chan_con e = {.kind = CHAN_CON_RECORD, .more = more, .len = (u8)strlen(text)};

	memcpy(e.data, text, e.len);
	CHECK(fake_put(f, CHAN_CON_OUT, &e));
}

TEST(logs_have_a_guests_lines_and_whole_records)
{
	struct fake_channel f;

	begin(&f);
	say_serial(&f, 1, "hello\n");
	CHECK(log_has(&f, "logs/alpha.log", "hello\n"));
	say_record(&f, "{\"pnb\":1,", 1);
	say_record(&f, "\"seq\":1}\r\n", 0);
	say_record(&f, "{\"pnb\":1,\"seq\":2}", 0);
	CHECK(log_has(&f, "logs/records.jsonl", "{\"pnb\":1,\"seq\":1}\n{\"pnb\":1,\"seq\":2}\n"));
	finish(&f);
}

TEST(a_log_that_has_grown_is_put_aside)
{
	struct fake_channel f;
	struct stat st;
	char text[201];

	begin(&f);
	memset(text, 'y', 200);
	text[200] = '\0';
	/* As much as it takes: what comes faster than the medium takes it is dropped. */
	for (u64 stop = loop_now() + 20 * NSEC_PER_SEC; loop_now() < stop;) {
		for (int i = 0; i < 100; i++)
			say_serial(&f, 1, text);
		usleep(10000);
		if (!stat(fake_path(&f, "logs/alpha.log.1"), &st))
			break;
	}
	usleep(400000);
	say_serial(&f, 1, "the end");
	CHECK(log_has(&f, "logs/alpha.log", "the end"));
	CHECK(!stat(fake_path(&f, "logs/alpha.log.1"), &st));
	CHECK(st.st_size >= (off_t)MIB);
	finish(&f);
}

TEST(logs_go_on_when_the_medium_is_back)
{
	struct fake_channel f;
	struct chan_ctl_req q;

	fake_init(&f, NULL);
	/* A file stands where the directory would be made: no medium. */
	close(open(fake_path(&f, "logs"), O_WRONLY | O_CREAT, 0644));
	CHECK(fake_start(&f));
	q = next_request(&f);
	answer_list(&f, q.id);
	say_serial(&f, 1, "lost\n");
	CHECK(fake_said(&f, "have stopped"));
	say_serial(&f, 1, "lost\n");
	CHECK(!unlink(fake_path(&f, "logs")));
	kill(f.pid, SIGHUP);
	usleep(300000);
	say_serial(&f, 1, "kept\n");
	CHECK(log_has(&f, "logs/alpha.log", "kept\n"));
	CHECK(has(text_of(&f, "logs/alpha.log"), "bytes are missing here"));
	CHECK_EQ(fake_said_times(&f, "have stopped"), 1);
	CHECK(fake_said(&f, "go on"));
	finish(&f);
}

/* --- hostile rings --- */

TEST(impossible_indices_end_the_daemon_with_a_word)
{
	static const enum chan_ring_id ids[] = {CHAN_BLK_REQ, CHAN_NET_OUT, CHAN_CON_OUT,
						CHAN_CTL_REPLY, CHAN_BLK_DONE};
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		struct fake_channel f;
		struct chan_ring *r;

		begin(&f);
		r = f.ring[ids[i]].ring;
		if (ids[i] == CHAN_BLK_DONE) {
			r->tail = 100000; /* of a ring it produces: seen at its next answer */
			CHECK(fake_put(&f, CHAN_BLK_REQ, &(struct chan_blk_req){.op = 99}));
		} else {
			r->head = 100000;
			fake_interrupt(&f, ids[i]);
		}
		CHECK_EQ(fake_wait_end(&f), DAEMON_RESTART);
		CHECK(fake_said(&f, "impossible indices"));
		fake_fini(&f);
	}
}

TEST(entries_of_random_bytes_are_survived)
{
	struct fake_channel f;
	u32 seed = 1;

	begin(&f);
	for (int i = 0; i < 2000; i++) {
		static const enum chan_ring_id ids[] = {CHAN_BLK_REQ, CHAN_NET_OUT, CHAN_CON_OUT,
							CHAN_CTL_REPLY, CHAN_TRACE};
		enum chan_ring_id id = ids[i % ARRAY_SIZE(ids)];
		u8 e[2048];

		for (size_t j = 0; j < sizeof(e); j++)
			e[j] = (u8)((seed = seed * 1664525u + 1013904223u) >> 24);
		e[i % 3] = (u8)(i % 7); /* often a known kind */
		fake_put(&f, id, e);
		while (ring_get(&f.ring[CHAN_BLK_DONE], e) || ring_get(&f.ring[CHAN_NET_IN], e))
			;
	}
	/* Still there? */
	{
		struct chan_ctl_reply r;
		int fd = connect_to(&f);

		ask_for(fd, PN_DAEMON, "");
		CHECK(packet(fd, &r, sizeof(r)) > 0);
		close(fd);
	}
	CHECK(!fake_said_times(&f, "Sanitizer"));
	fake_kill(&f);
	fake_fini(&f);
}
