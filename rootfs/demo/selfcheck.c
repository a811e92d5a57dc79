/* Self-check of a small Linux machine, printed as KTAP: most of its RAM, processes, clocks,
 * floating point across context switches, every CPU, the CD. Nothing here knows what the machine is
 * made of.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/rtc.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHUNK	   (16UL << 20)
#define MAX_CHUNKS 4096
#define FORKS	   100
#define CD_FILE	   "/cd/demo/data.bin"
#define CD_SUM	   "/etc/data.crc" /* "crc32 bytes", made with the CD */

enum outcome { OK, FAILED, SKIPPED };
static char why[160]; /* what the last check found: shown behind its line */

static enum outcome say(enum outcome o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return o;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* --- memory ----------------------------------------------------------------------------------- */

static unsigned long mem_available(void)
{
	char line[128];
	unsigned long kb = 0;
	FILE *f = fopen("/proc/meminfo", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %lu kB", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

/* Each word depends on where it stands: an aliased or lost page shows as another page's words. From
 * one word to the next the value grows by a constant, so that a test of gigabytes is mostly memory.
 */
#define WORD_STEP ((unsigned long)0x9e3779b97f4a7c15ULL)

static unsigned long expected(unsigned long index, unsigned long pass)
{
	unsigned long v = (index + 1) * WORD_STEP;

	return pass ? ~v : v;
}

static unsigned long step(unsigned long pass)
{
	return pass ? -WORD_STEP : WORD_STEP;
}

static void mem_write(unsigned long *p, unsigned long base, unsigned long pass)
{
	unsigned long v = expected(base, pass), by = step(pass);

#pragma GCC unroll 8
	for (unsigned long i = 0; i < CHUNK / sizeof(*p); i++, v += by)
		p[i] = v;
}

static int mem_verify(const unsigned long *p, unsigned long base, unsigned long pass)
{
	unsigned long v = expected(base, pass), by = step(pass);

#pragma GCC unroll 8
	for (unsigned long i = 0; i < CHUNK / sizeof(*p); i++, v += by)
		if (p[i] != v) {
			say(FAILED, "word %lu is %lx, expected %lx", base + i, p[i], v);
			return -1;
		}
	return 0;
}

static enum outcome check_memory(void)
{
	static unsigned long *chunk[MAX_CHUNKS];
	unsigned long kb = mem_available();
	unsigned long n = 0, want = kb / 10 * 8 / (CHUNK >> 10);
	const unsigned long words = CHUNK / sizeof(unsigned long);

	if (want > MAX_CHUNKS)
		want = MAX_CHUNKS;
	if (want == 0)
		want = 1;
	for (; n < want; n++) {
		chunk[n] = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				-1, 0);
		if (chunk[n] == MAP_FAILED)
			break; /* a 32-bit address space ends before the RAM does */
	}
	for (unsigned long pass = 0; pass < 2; pass++) {
		for (unsigned long c = 0; c < n; c++)
			mem_write(chunk[c], c * words, pass);
		for (unsigned long c = 0; c < n; c++)
			if (mem_verify(chunk[c], c * words, pass))
				return FAILED;
	}
	for (unsigned long c = 0; c < n; c++)
		munmap(chunk[c], CHUNK);
	if (n == 0)
		return say(FAILED, "no memory to test of %lu KiB available", kb);
	return say(OK, "%lu of %lu MiB available", n * (CHUNK >> 20), kb >> 10);
}

/* --- processes -------------------------------------------------------------------------------- */

static int exit_status(char *const argv[])
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execv(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static enum outcome check_fork(void)
{
	static char *const good[] = {"/bin/busybox", "true", NULL};
	static char *const bad[] = {"/bin/busybox", "sh", "-c", "exit 42", NULL};

	for (int i = 0; i < FORKS; i++)
		if (exit_status(good) != 0)
			return say(FAILED, "run %d of %s failed", i, good[1]);
	if (exit_status(bad) != 42)
		return say(FAILED, "exit status 42 did not arrive");
	return say(OK, "%d processes", FORKS);
}

/* --- clocks ----------------------------------------------------------------------------------- */

static int rtc_second(void)
{
	static int fd = -2;
	struct rtc_time t;

	if (fd == -2)
		fd = open("/dev/rtc0", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, RTC_RD_TIME, &t))
		return -1;
	return t.tm_sec;
}

/* Second 0x00 of the MC146818, by its ports, outside an update; -1 when ports cannot be had. */
static int cmos_second(void)
{
	if (iopl(3))
		return -1;
	for (int tries = 0; tries < 100000; tries++) {
		outb(0x0a, 0x70);
		if (!(inb(0x71) & 0x80))
			break;
	}
	outb(0x00, 0x70);
	return inb(0x71);
}

/* Wait for @clock to show another second; -1 after 5 s without one. */
static int next_second(int (*clock)(void))
{
	uint64_t start = now_ms();
	int first = clock();

	while (now_ms() - start < 5000) {
		if (clock() != first)
			return 0;
		usleep(2000);
	}
	return -1;
}

/* The system clock (TSC, HPET or PM timer, calibrated by the kernel) against three seconds of
 * @clock. A busy host delays single readings, so the best of three counts. */
static enum outcome check_rate(int (*clock)(void), const char *name)
{
	long ms = 0;

	if (clock() < 0)
		return say(SKIPPED, "%s cannot be read", name);
	for (int attempt = 0; attempt < 3; attempt++) {
		uint64_t start;

		if (next_second(clock))
			return say(FAILED, "%s stands still", name);
		start = now_ms();
		for (int s = 0; s < 3; s++)
			if (next_second(clock))
				return say(FAILED, "%s stands still", name);
		ms = (long)(now_ms() - start);
		if (ms > 2850 && ms < 3150)
			return say(OK, "3 s of %s took %ld ms", name, ms);
	}
	return say(FAILED, "3 s of %s took %ld ms", name, ms);
}

static enum outcome check_rtc(void)
{
	return check_rate(rtc_second, "the RTC driver's clock");
}

static enum outcome check_cmos(void)
{
	return check_rate(cmos_second, "CMOS ports");
}

static enum outcome check_sleep(void)
{
	uint64_t start = now_ms();
	long ms;

	for (int i = 0; i < 50; i++)
		usleep(10000);
	ms = (long)(now_ms() - start);
	if (ms < 500)
		return say(FAILED, "50 sleeps of 10 ms took %ld ms", ms);
	return say(OK, "50 sleeps of 10 ms took %ld ms", ms);
}

/* --- floating point and CPUs ------------------------------------------------------------------ */

/* A sum whose every intermediate lives in FPU or vector registers; differs if one is lost. */
static double series(int seed)
{
	volatile double sum = 0;

	for (int i = 1; i < 300000; i++)
		sum = sum * 0.999 + 1.0 / (double)(i + seed);
	return sum;
}

static enum outcome check_fpu(void)
{
	double want[4];
	int failed = 0, status;

	for (int p = 0; p < 4; p++)
		want[p] = series(p);
	for (int p = 0; p < 4; p++)
		if (fork() == 0) {
			for (int round = 0; round < 20; round++)
				if (memcmp(&(double){series(p)}, &want[p], sizeof(double)))
					_exit(1);
			_exit(0);
		}
	while (wait(&status) > 0)
		failed += status != 0;
	if (failed)
		return say(FAILED, "%d of 4 processes computed another sum", failed);
	return say(OK, "4 processes at once");
}

static enum outcome check_cpus(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	for (long c = 0; c < n; c++) {
		cpu_set_t set;
		unsigned on = 0;

		CPU_ZERO(&set);
		CPU_SET((size_t)c, &set);
		if (sched_setaffinity(0, sizeof(set), &set) || sched_yield())
			return say(FAILED, "cannot run on CPU %ld: %s", c, strerror(errno));
		on = (unsigned)sched_getcpu();
		if (on != (unsigned)c || series(1) <= 0)
			return say(FAILED, "asked for CPU %ld, runs on %u", c, on);
	}
	return say(OK, "%ld online", n);
}

/* --- CD --------------------------------------------------------------------------------------- */

static uint32_t crc32(uint32_t crc, const unsigned char *p, size_t n)
{
	crc = ~crc;
	while (n--) {
		crc ^= *p++;
		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

/* Drivers probe in the background: the CD may turn up some time after they are loaded. */
static int mount_cd(void)
{
	uint64_t start = now_ms();

	mkdir("/cd", 0755);
	do {
		if (!mount("/dev/sr0", "/cd", "iso9660", MS_RDONLY, NULL) ||
		    !mount("/dev/sda", "/cd", "iso9660", MS_RDONLY, NULL) ||
		    !mount("/dev/vda", "/cd", "iso9660", MS_RDONLY, NULL))
			return 0;
		usleep(100000);
	} while (now_ms() - start < 15000);
	return -1;
}

static int without_cd(void)
{
	char line[2048] = "";
	FILE *f = fopen("/proc/cmdline", "re");

	if (!f)
		return 0;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	return strstr(line, "demo.nocd") != NULL;
}

static enum outcome check_cd(void)
{
	static unsigned char buf[65536];
	unsigned long size = 0, got = 0;
	uint32_t sum = 0, crc = 0;
	ssize_t n;
	FILE *f = fopen(CD_SUM, "re");
	int fd;

	if (!f || fscanf(f, "%x %lu", &sum, &size) != 2)
		return say(SKIPPED, "no " CD_SUM);
	fclose(f);
	if (without_cd())
		return say(SKIPPED, "demo.nocd on the kernel's command line");
	if (mount_cd())
		return say(FAILED, "no CD after 15 s: %s", strerror(errno));
	fd = open(CD_FILE, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return say(FAILED, CD_FILE ": %s", strerror(errno));
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		crc = crc32(crc, buf, (size_t)n);
		got += (unsigned long)n;
	}
	close(fd);
	umount("/cd");
	if (n < 0)
		return say(FAILED, "read error after %lu bytes: %s", got, strerror(errno));
	if (got != size || crc != sum)
		return say(FAILED, "%lu bytes crc %08x, expected %lu bytes crc %08x", got, crc,
			   size, sum);
	return say(OK, "%lu bytes crc %08x", got, crc);
}

/* --------------------------------------------------------------------------------------------------
 */

static const struct {
	const char *name;
	enum outcome (*run)(void);
} checks[] = {
	{"memory", check_memory}, {"fork", check_fork}, {"sleep", check_sleep}, {"rtc", check_rtc},
	{"cmos", check_cmos},	  {"fpu", check_fpu},	{"cpus", check_cpus},	{"cdrom", check_cd},
};

int main(void)
{
	int failed = 0, total = (int)(sizeof(checks) / sizeof(checks[0]));

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("KTAP version 1\n1..%d\n", total);
	for (int i = 0; i < total; i++) {
		enum outcome o = checks[i].run();

		failed += o == FAILED;
		printf("%s %d %s%s%s\n", o == FAILED ? "not ok" : "ok", i + 1, checks[i].name,
		       o == SKIPPED ? " # SKIP " : " # ", why);
	}
	return failed != 0;
}
