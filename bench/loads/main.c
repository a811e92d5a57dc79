/* Loads for the paging benchmark, static against musl.
 *
 *   loads                    takes commands, one a line
 *   loads NAME [PARAM [N]]   N rounds of one load
 *   loads list               names and default parameters
 *
 * As /init of an initramfs it takes commands from the console and powers the machine off at "end".
 *
 * A command is "NAME PARAM N", PARAM "-" for the default one. It prepares the load, prints
 * "begin NAME PARAM", for each round one line "NAME PARAM NS CHECKSUM" (its time by the machine's
 * own clock, its result) and then "end NAME". The same command again goes on without preparing. Who
 * measures takes the time between the lines by a clock outside.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "loads.h"

#define LINE_MAX 128

const char *self;

static const struct load loads[] = {
	{"chase", "96", chase_prepare, chase},
	{"gups", "64", gups_prepare, gups},
	{"stencil", "60", stencil_prepare, stencil},
	{"stream4k", "128", stream4k_prepare, stream4k},
	{"churn", "256", NULL, churn},
	{"allocloop", "256", NULL, allocloop},
	{"burst", "10", NULL, burst},
	{"page", "256", NULL, page_test},
	{"brk", "16", NULL, brk_test},
	{"forkwait", "150", NULL, forkwait},
	{"fork", "25", NULL, fork_test},
	{"exec", "50", NULL, exec_test},
	{"memmotion", "8", NULL, memmotion},
	{"spawnstorm", "16", NULL, spawnstorm},
	{"tcc", "1", NULL, compile},
	{"phases", "chase/churn/6", phases_prepare, phases},
	{"mix", "chase/churn/4", mix_prepare, mix},
};
#define LOADS (sizeof(loads) / sizeof(loads[0]))

/* --- what the loads share ------------------------------------------------------------------------
 */

const struct load *load_find(const char *name, size_t len)
{
	for (unsigned i = 0; i < LOADS; i++)
		if (strlen(loads[i].name) == len && memcmp(loads[i].name, name, len) == 0)
			return &loads[i];
	return NULL;
}

void die(const char *what)
{
	printf("not ok loads: %s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

unsigned number(const char *param)
{
	return (unsigned)strtoul(param, NULL, 10);
}

uint8_t *pages(size_t n)
{
	uint8_t *p =
		mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	madvise(p, n * PAGE, MADV_NOHUGEPAGE); /* kernels without huge pages refuse, rightly */
	return p;
}

uint64_t sum_bytes(uint64_t sum, const void *bytes, size_t n)
{
	for (const uint8_t *p = bytes; n--; p++)
		sum = (sum ^ *p) * 0x100000001b3ull;
	return sum;
}

uint64_t sum_number(uint64_t sum, uint64_t n)
{
	return sum_bytes(sum, &n, sizeof(n));
}

uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* --- rounds --------------------------------------------------------------------------------------
 */

static unsigned long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (unsigned long long)t.tv_sec * 1000000000ull + (unsigned long long)t.tv_nsec;
}

static void rounds(const struct load *l, const char *param, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned long long start = now_ns();
		uint64_t sum = l->round(param);

		printf("%s %s %llu %016llx\n", l->name, param, now_ns() - start,
		       (unsigned long long)sum);
	}
}

/* --- commands ------------------------------------------------------------------------------------
 */

/* Each load lives in a process of its own, so that one's memory is not another's; the last one
 * stays for more rounds of the same until another is asked for. */
static struct {
	char key[LINE_MAX];
	int to, from;
	pid_t pid;
} worker = {.to = -1, .from = -1};

static void end_worker(void)
{
	if (worker.to < 0)
		return;
	close(worker.to);
	close(worker.from);
	waitpid(worker.pid, NULL, 0);
	worker.to = -1;
}

__attribute__((noreturn)) static void work(const struct load *l, const char *param, int in, int out)
{
	unsigned n;

	if (l->prepare)
		l->prepare(param);
	n = 0;
	if (write(out, &n, sizeof(n)) != sizeof(n))
		_exit(1);
	while (read(in, &n, sizeof(n)) == sizeof(n)) {
		rounds(l, param, n);
		if (write(out, &n, sizeof(n)) != sizeof(n))
			break;
	}
	_exit(0);
}

static int await(void)
{
	unsigned done;

	return read(worker.from, &done, sizeof(done)) == sizeof(done);
}

static int start_worker(const struct load *l, const char *param)
{
	int to[2], from[2];

	if (pipe(to) || pipe(from) || (worker.pid = fork()) < 0)
		die("worker");
	if (worker.pid == 0) {
		close(to[1]);
		close(from[0]);
		work(l, param, to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	worker.to = to[1];
	worker.from = from[0];
	return await();
}

static void obey(const char *name, const char *param, unsigned n)
{
	const struct load *l = load_find(name, strlen(name));
	char key[LINE_MAX];
	int good = 1;

	if (!l) {
		printf("not ok loads: no load %s\n", name);
		return;
	}
	if (strcmp(param, "-") == 0)
		param = l->param;
	snprintf(key, sizeof(key), "%.20s %.90s", name, param);
	if (worker.to < 0 || strcmp(key, worker.key) != 0) {
		end_worker();
		strcpy(worker.key, key);
		good = start_worker(l, param);
	}
	printf("begin %s\n", key);
	good = good && write(worker.to, &n, sizeof(n)) == sizeof(n) && await();
	if (!good)
		end_worker();
	printf(good ? "end %s\n" : "not ok loads: %s died\n", name);
}

static void shell(void)
{
	char line[LINE_MAX], name[32], param[96];
	unsigned n;

	printf("loads: ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		if (strncmp(line, "end", 3) == 0)
			break;
		if (sscanf(line, "%31s %95s %u", name, param, &n) == 3)
			obey(name, param, n);
		else if (line[0] != '\n')
			printf("loads: NAME PARAM ROUNDS is wanted\n");
	}
	end_worker();
}

static void list(void)
{
	for (unsigned i = 0; i < LOADS; i++)
		printf("%s %s\n", loads[i].name, loads[i].param);
}

/* The console as a wire: no echo, no line editing but whole lines. */
static void quiet_console(void)
{
	struct termios t;

	if (tcgetattr(0, &t) != 0)
		return;
	t.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	tcsetattr(0, TCSANOW, &t);
}

int main(int argc, char **argv)
{
	self = getpid() == 1 ? "/init" : argv[0];
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getpid() == 1) {
		quiet_console();
		shell();
		printf("loads: end\n");
		sync();
		reboot(RB_POWER_OFF);
	}
	if (argc == 3 && strcmp(argv[1], "exit") == 0)
		return (int)number(argv[2]);
	if (argc == 2 && strcmp(argv[1], "list") == 0)
		list();
	else if (argc > 1)
		obey(argv[1], argc > 2 ? argv[2] : "-", argc > 3 ? number(argv[3]) : 1);
	else
		shell();
	return 0;
}
