/* Storage and network work for a guest, or for the same kernel on the machine itself. Static
 * against musl; it knows nothing about what it runs on.
 *
 *   io store DEV [N]        N records on a raw disk (or without end), each said once it is on the
 * medium io disk DEV NAME OP BYTES DEPTH [LIMIT-MS] OP read, write, randread or randwrite past the
 * cache, DEPTH at a time io send PORT FILE       gives FILE to the first who connects io recv HOST
 * PORT FILE  takes it
 *
 * "BENCH name metric value" lines as of bench/linux. A loop at idle priority counts beside a disk's
 * work: what is left of the CPU while transfers are in flight.
 *
 * SPDX-License-Identifier: MIT
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define RECORD	     65536u
#define RECORD_WORDS (RECORD / 8)
#define RECORD_MAGIC 0x64726f636572706eull
#define PAUSE_US     20000
#define DEPTH_MAX    64u
#define RUN_MS	     2000
#define CALIBRATE_MS 400

static void die(const char *text, ...)
{
	va_list ap;

	printf("not ok io: ");
	va_start(ap, text);
	vprintf(text, ap);
	va_end(ap);
	printf(": %s\n", strerror(errno));
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000;
}

/* One that passes for random and costs little in an emulator. */
static uint64_t scramble(uint64_t x)
{
	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9ull;
	x ^= x >> 32;
	return x;
}

static uint64_t disk_size(int fd)
{
	uint64_t size = 0;

	if (ioctl(fd, BLKGETSIZE64, &size))
		die("size");
	return size;
}

/* --- store: record n stands at place n % places, whole or not at all after a power failure, but
 * for the one that was being written --- */

static void fill(uint64_t *r, uint64_t n)
{
	r[0] = RECORD_MAGIC;
	r[1] = n;
	for (unsigned i = 2; i < RECORD_WORDS; i++)
		r[i] = scramble(n * RECORD_WORDS + i);
}

/* Its number; 0: none. */
static uint64_t record_at(int fd, uint64_t *r, uint64_t place)
{
	static uint64_t want[RECORD_WORDS];

	if (pread(fd, r, RECORD, (off_t)(place * RECORD)) != (ssize_t)RECORD)
		die("read at %llu", (unsigned long long)place);
	if (r[0] != RECORD_MAGIC || !r[1])
		return 0;
	fill(want, r[1]);
	return memcmp(want, r, RECORD) ? 0 : r[1];
}

static uint64_t newest(int fd, uint64_t *r, uint64_t places)
{
	uint64_t last = 0, good = 0;

	for (uint64_t p = 0; p < places; p++) {
		uint64_t n = record_at(fd, r, p);

		last = n > last ? n : last;
	}
	/* All that went before it and have not been written over since: */
	for (uint64_t n = last; n && last - n + 2 < places; n--)
		good += record_at(fd, r, n % places) == n;
	printf("store: found %llu, whole %llu of %llu\n", (unsigned long long)last,
	       (unsigned long long)good,
	       (unsigned long long)(last + 2 < places ? last
				    : last	      ? places - 2
						      : 0));
	return last;
}

static void store(const char *dev, uint64_t more)
{
	uint64_t *r = aligned_alloc(4096, RECORD), n, places;
	int fd = open(dev, O_RDWR | O_CLOEXEC);

	if (fd < 0 || !r)
		die("%s", dev);
	places = disk_size(fd) / RECORD;
	if (places > 64)
		places = 64;
	n = newest(fd, r, places);
	while (more--) {
		fill(r, ++n);
		if (pwrite(fd, r, RECORD, (off_t)(n % places * RECORD)) != (ssize_t)RECORD)
			die("write");
		if (fdatasync(fd))
			die("sync");
		printf("store: synced %llu\n", (unsigned long long)n);
		usleep(PAUSE_US);
	}
}

/* --- the loop beside --- */

static volatile uint64_t loops;

static void *spin(void *unused)
{
	const struct sched_param none = {0};
	uint64_t x = 1;

	syscall(SYS_sched_setscheduler, 0, SCHED_IDLE, &none);
	for (;;) {
		for (unsigned i = 0; i < 1000; i++)
			x = scramble(x + i);
		loops = loops + 1;
		if (!x)
			return unused;
	}
}

/* Loops a second with nothing else to do. */
static double spin_alone(void)
{
	uint64_t start = now_us(), at = loops;

	usleep(CALIBRATE_MS * 1000);
	return (double)(loops - at) * 1e6 / (double)(now_us() - start);
}

/* --- disk --- */

struct job {
	int fd;
	aio_context_t aio;
	uint16_t op; /* IOCB_CMD_* */
	unsigned random;
	uint32_t bytes;
	uint64_t blocks, next, seed;
	struct iocb cb[DEPTH_MAX];
};

static void submit(struct job *j, struct iocb *cb)
{
	uint64_t block =
		j->random ? (j->seed = scramble(j->seed + 0x9e3779b97f4a7c15ull)) : j->next++;

	cb->aio_lio_opcode = j->op;
	cb->aio_fildes = (uint32_t)j->fd;
	cb->aio_nbytes = j->bytes;
	cb->aio_offset = (int64_t)(block % j->blocks * j->bytes);
	if (syscall(SYS_io_submit, j->aio, 1L, &cb) != 1)
		die("submit");
}

/* Until @limit_us; the number of requests done. */
static uint64_t keep_busy(struct job *j, unsigned depth, uint64_t limit_us)
{
	struct io_event done[DEPTH_MAX];
	uint64_t end = now_us() + limit_us, count = 0;
	unsigned flying = depth;

	for (unsigned i = 0; i < depth; i++)
		submit(j, &j->cb[i]);
	while (flying) {
		long n = syscall(SYS_io_getevents, j->aio, 1L, (long)depth, done, NULL);
		int more = now_us() < end;

		if (n < 1)
			die("wait");
		for (long i = 0; i < n; i++) {
			if (done[i].res != j->bytes) {
				errno = (int)-done[i].res;
				die("transfer");
			}
			count++;
			flying--;
			if (more) {
				submit(j, &j->cb[done[i].data]);
				flying++;
			}
		}
	}
	return count;
}

static void disk(char *const *arg, uint64_t limit_ms)
{
	const char *name = arg[1];
	unsigned depth = (unsigned)atoi(arg[4]);
	struct job j = {.random = arg[2][0] == 'r' && arg[2][1] == 'a',
			.bytes = (uint32_t)atoi(arg[3]),
			.op = strstr(arg[2], "write") ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
			.seed = 1};
	uint64_t start, took, count, at;
	double alone, beside;
	pthread_t loop;

	j.fd = open(arg[0], O_RDWR | O_DIRECT | O_CLOEXEC);
	if (j.fd < 0)
		die("%s", arg[0]);
	if (!depth || depth > DEPTH_MAX || !j.bytes || syscall(SYS_io_setup, (long)depth, &j.aio))
		die("set-up");
	j.blocks = disk_size(j.fd) / j.bytes;
	for (unsigned i = 0; i < depth; i++) {
		uint64_t *buffer = aligned_alloc(4096, j.bytes);

		if (!buffer)
			die("memory");
		for (uint32_t k = 0; k < j.bytes / 8; k++)
			buffer[k] = scramble(k + i);
		j.cb[i].aio_buf = (uint64_t)(uintptr_t)buffer;
		j.cb[i].aio_data = i;
	}
	start = now_us();
	count = keep_busy(&j, depth, limit_ms * 1000);
	took = now_us() - start;
	printf("BENCH %s requests %llu\n", name, (unsigned long long)count);
	printf("BENCH %s kib_per_s %.0f\n", name,
	       (double)count * j.bytes / 1024 * 1e6 / (double)took);
	printf("BENCH %s per_s %.0f\n", name, (double)count * 1e6 / (double)took);

	/* Once more, with a loop that takes what is left. */
	if (pthread_create(&loop, NULL, spin, NULL))
		die("thread");
	alone = spin_alone();
	start = now_us();
	at = loops;
	count = keep_busy(&j, depth, limit_ms * 500);
	took = now_us() - start;
	beside = (double)(loops - at) * 1e6 / (double)took;
	printf("BENCH %s beside_requests %llu\n", name, (unsigned long long)count);
	printf("BENCH %s beside_per_s %.0f\n", name, (double)count * 1e6 / (double)took);
	printf("BENCH %s computed_percent %.1f\n", name, 100 * beside / alone);
}

/* --- network --- */

static struct sockaddr_in address(const char *host, const char *port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons((uint16_t)atoi(port)),
				    .sin_addr.s_addr = inet_addr(host)};
}

static uint64_t copy(int from, int to)
{
	static char buffer[65536];
	uint64_t total = 0;

	for (;;) {
		ssize_t n = read(from, buffer, sizeof(buffer));

		if (n < 0)
			die("read");
		if (!n)
			return total;
		for (ssize_t at = 0, m; at < n; at += m) {
			m = write(to, buffer + at, (size_t)(n - at));
			if (m <= 0)
				die("write");
		}
		total += (uint64_t)n;
	}
}

static void give(const char *port, const char *file)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), in = open(file, O_RDONLY), one = 1, c;
	struct sockaddr_in a = address("0.0.0.0", port);

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (in < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) || listen(s, 1))
		die("listen");
	printf("send: listening on %s\n", port);
	c = accept(s, NULL, NULL);
	if (c < 0)
		die("accept");
	printf("send: %llu bytes\n", (unsigned long long)copy(in, c));
	close(c);
}

static void take(const char *host, const char *port, const char *file)
{
	int s = socket(AF_INET, SOCK_STREAM, 0),
	    out = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	struct sockaddr_in a = address(host, port);
	uint64_t start, bytes, took;

	if (out < 0 || connect(s, (struct sockaddr *)&a, sizeof(a)))
		die("connect");
	start = now_us();
	bytes = copy(s, out);
	took = now_us() - start;
	printf("BENCH recv bytes %llu\n", (unsigned long long)bytes);
	printf("BENCH recv kib_per_s %.0f\n", (double)bytes / 1024 * 1e6 / (double)took);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if ((argc == 3 || argc == 4) && !strcmp(argv[1], "store"))
		store(argv[2], argc == 4 ? (uint64_t)atoi(argv[3]) : UINT64_MAX);
	else if ((argc == 7 || argc == 8) && !strcmp(argv[1], "disk"))
		disk(argv + 2, argc == 8 ? (uint64_t)atoi(argv[7]) : RUN_MS);
	else if (argc == 4 && !strcmp(argv[1], "send"))
		give(argv[2], argv[3]);
	else if (argc == 5 && !strcmp(argv[1], "recv"))
		take(argv[2], argv[3], argv[4]);
	else
		return 2;
	return 0;
}
