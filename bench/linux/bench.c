/* User-space workloads, static against musl: run as /init of an initramfs (then it powers off at
 * the end) or by hand, natively or in any guest. "bench NAME..." runs those named.
 *
 * Lines: "BENCH name metric value": ops per round, ns_per_op and tsc_per_op (median of ROUNDS
 * rounds), and tsc_per_op_min (the best round), one decimal. One op of cpu is a sieve, of forkwait
 * a fork, _exit and waitpid, of pgfault and tlbwalk one page, of ctxsw a round trip between two
 * processes, of mprotect a page made read-only, read, made writable again and written.
 *
 * As /init it takes names from the kernel's command line (-- NAME...), else runs all. With STEPS
 * set there it waits for Enter at each workload's begin and end, for who takes stock from outside;
 * with ASK it asks for a workload's name and does a round of it for each Enter until "end", for
 * who has machines take turns.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 5
#define PAGE   4096u
#define LINE   32

#define SIEVE_SIZE     200000u
#define PGFAULT_PAGES  4096u
#define TLB_PAGES      32768u /* 128 MiB */
#define MPROTECT_PAGES 64u

static uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi)::"memory");
	return lo | (uint64_t)hi << 32;
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	printf("not ok bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint8_t *pages(size_t n)
{
	uint8_t *p =
		mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	madvise(p, n * PAGE, MADV_NOHUGEPAGE); /* kernels without huge pages refuse, rightly */
	return p;
}

/* --- workloads: each does @n ops ------------------------------------------------------------- */

static volatile unsigned sink;

static void run_cpu(unsigned n)
{
	static uint8_t composite[SIEVE_SIZE];

	while (n--) {
		unsigned primes = 0;

		memset(composite, 0, sizeof(composite));
		for (unsigned i = 2; i < SIEVE_SIZE; i++) {
			if (composite[i])
				continue;
			primes++;
			for (unsigned j = 2 * i; j < SIEVE_SIZE; j += i)
				composite[j] = 1;
		}
		sink = primes;
	}
}

static void run_syscall(unsigned n)
{
	while (n--)
		syscall(SYS_getpid);
}

static void run_forkwait(unsigned n)
{
	while (n--) {
		int status;
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			die("fork");
	}
}

static void run_pgfault(unsigned n)
{
	for (; n >= PGFAULT_PAGES; n -= PGFAULT_PAGES) {
		uint8_t *p = pages(PGFAULT_PAGES);

		for (unsigned i = 0; i < PGFAULT_PAGES; i++)
			p[(size_t)i * PAGE] = 1;
		munmap(p, (size_t)PGFAULT_PAGES * PAGE);
	}
}

static void echo(int in, int out)
{
	char c;

	while (read(in, &c, 1) == 1 && write(out, &c, 1) == 1)
		;
	_exit(0);
}

static void run_ctxsw(unsigned n)
{
	int there[2], back[2];
	char c = 0;
	pid_t pid;

	if (pipe(there) || pipe(back))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		close(there[1]);
		echo(there[0], back[1]);
	}
	while (n--)
		if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
			die("pipe");
	close(there[0]);
	close(there[1]);
	waitpid(pid, NULL, 0);
	close(back[0]);
	close(back[1]);
}

/* One random cycle through all pages; where in its page an entry lies varies, so that cache sets do
 * not decide the result. */
static void **chain(void)
{
	static unsigned order[TLB_PAGES];
	uint8_t *p = pages(TLB_PAGES);
	uint64_t seed = 88172645463325252ull;
	void **first;

	for (unsigned i = 0; i < TLB_PAGES; i++)
		order[i] = i;
	for (unsigned i = TLB_PAGES - 1; i; i--) {
		unsigned j, t = order[i];

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		j = (unsigned)(seed % (i + 1));
		order[i] = order[j];
		order[j] = t;
	}
	first = (void **)(p + (size_t)order[0] * PAGE + order[0] % 64 * 64);
	for (unsigned i = 0; i < TLB_PAGES; i++) {
		unsigned from = order[i], to = order[(i + 1) % TLB_PAGES];

		*(void **)(p + (size_t)from * PAGE + from % 64 * 64) =
			p + (size_t)to * PAGE + to % 64 * 64;
	}
	return first;
}

static void run_tlbwalk(unsigned n)
{
	static void **at;

	if (!at)
		at = chain();
	while (n--)
		at = *at;
	sink = (unsigned)(uintptr_t)at;
}

static void run_mprotect(unsigned n)
{
	static uint8_t *p;

	if (!p) {
		p = pages(MPROTECT_PAGES);
		memset(p, 1, (size_t)MPROTECT_PAGES * PAGE);
	}
	for (unsigned i = 0; i < n; i++) {
		uint8_t *page = p + (size_t)(i % MPROTECT_PAGES) * PAGE;

		if (mprotect(page, PAGE, PROT_READ))
			die("mprotect");
		sink = *page;
		if (mprotect(page, PAGE, PROT_READ | PROT_WRITE))
			die("mprotect");
		*page = 2;
	}
}

static void run_cpuid(unsigned n)
{
	while (n--) {
		uint32_t a = 0, c = 0;

		__asm__ volatile("cpuid" : "+a"(a), "+c"(c)::"ebx", "edx");
	}
}

/* What the kernel does while nobody wants anything: a part of every other workload's window. */
static void run_idle(unsigned n)
{
	while (n--)
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

static const struct {
	const char *name;
	void (*run)(unsigned n);
	unsigned ops; /* per round */
} workloads[] = {
	{"cpu", run_cpu, 100},
	{"syscall", run_syscall, 100000},
	{"forkwait", run_forkwait, 200},
	{"pgfault", run_pgfault, 2 * PGFAULT_PAGES},
	{"ctxsw", run_ctxsw, 2000},
	{"tlbwalk", run_tlbwalk, 400000},
	{"mprotect", run_mprotect, 1000},
	{"cpuid", run_cpuid, 5000},
	{"idle", run_idle, 5},
};

/* --- measuring -------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void report(const char *name, const char *metric, uint64_t total, unsigned ops)
{
	uint64_t tenths = (total * 10 + ops / 2) / ops;

	printf("BENCH %s %s %llu.%llu\n", name, metric, (unsigned long long)(tenths / 10),
	       (unsigned long long)(tenths % 10));
}

/* In a loop, because an emulator's clock runs ahead while the machine sleeps. */
static void await_key(void)
{
	char c;

	if (!getenv("STEPS"))
		return;
	fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
	while (read(STDIN_FILENO, &c, 1) != 1)
		;
}

static void measure(const char *name, void (*run)(unsigned n), unsigned ops)
{
	uint64_t ns[ROUNDS], tsc[ROUNDS];

	run(ops);		     /* first touches and caches are not the workload's */
	printf("bench: %s\n", name); /* for who measures from outside */
	await_key();
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t t0 = now_ns(CLOCK_MONOTONIC), c0 = rdtsc();

		run(ops);
		tsc[i] = rdtsc() - c0;
		ns[i] = now_ns(CLOCK_MONOTONIC) - t0;
	}
	qsort(ns, ROUNDS, sizeof(ns[0]), by_value);
	qsort(tsc, ROUNDS, sizeof(tsc[0]), by_value);
	printf("BENCH %s ops %u\n", name, ops);
	await_key();
	report(name, "ns_per_op", ns[ROUNDS / 2], ops);
	report(name, "tsc_per_op", tsc[ROUNDS / 2], ops);
	report(name, "tsc_per_op_min", tsc[0], ops);
	fflush(stdout);
}

static int wanted(const char *name, int argc, char **argv)
{
	if (argc < 2)
		return 1;
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return 1;
	return 0;
}

static void measure_wanted(int argc, char **argv)
{
	for (unsigned i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++)
		if (wanted(workloads[i].name, argc, argv))
			measure(workloads[i].name, workloads[i].run, workloads[i].ops);
}

static bool answer(char *line, size_t len)
{
	if (!fgets(line, (int)len, stdin))
		return false;
	line[strcspn(line, "\n")] = '\0';
	return strcmp(line, "end") != 0;
}

/* A round for each empty line. What is printed is short: it is a part of what is measured. */
static void take_turns(const char *name)
{
	char line[LINE];

	for (unsigned i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++) {
		if (strcmp(workloads[i].name, name) != 0)
			continue;
		workloads[i].run(workloads[i].ops);
		printf("bench: %s %u\n", name, workloads[i].ops);
		while (answer(line, sizeof(line))) {
			puts("go");
			workloads[i].run(workloads[i].ops);
			puts("ok");
		}
	}
}

/* Each in a process of its own: what one maps is no matter of the next one's forks. */
static void measure_asked(void)
{
	char name[LINE];

	while (puts("bench: ask"), answer(name, sizeof(name))) {
		pid_t pid = fork();

		if (pid == 0) {
			take_turns(name);
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			die("fork");
	}
}

int main(int argc, char **argv)
{
	uint64_t tsc = rdtsc(), uptime = now_ns(CLOCK_BOOTTIME);

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("bench: begin\n");
	if (getpid() == 1) {
		printf("BENCH boot tsc_at_init %llu\n", (unsigned long long)tsc);
		printf("BENCH boot uptime_ns %llu\n", (unsigned long long)uptime);
	}
	if (getenv("ASK"))
		measure_asked();
	else
		measure_wanted(argc, argv);
	printf("bench: end\nok bench\n");
	fflush(stdout);
	if (getpid() == 1) {
		sync();
		reboot(RB_POWER_OFF);
	}
	return 0;
}
