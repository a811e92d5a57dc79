/* A Linux initramfs's /init that has processes' page tables changed while others run, in all the
 * ways that a process can bring about: memory shared and unmapped by one, written into another by
 * the kernel, taken from under a mapping, copied at a write after fork; tables moved about, address
 * spaces made and given up in numbers, threads that borrow one. After each step whoever was not
 * running looks whether it has what it should. One line with a sum for each part; the sums depend
 * on nothing but this program.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE   4096ul
#define MIB    (1024 * 1024ul)
#define ROUNDS 40u

static uint64_t sum;
static unsigned wrong;

static void take(uint64_t v)
{
	sum = (sum ^ v) * 0x9e3779b97f4a7c15ull;
	sum ^= sum >> 29;
}

static void expect(uint64_t got, uint64_t want)
{
	wrong += got != want;
	take(got);
}

static uint64_t value(unsigned who, unsigned round, unsigned page)
{
	return (who * 1000003ull + round) * 1000003ull + page;
}

static void *map(size_t len, int flags)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

static volatile uint64_t *word(void *base, unsigned page)
{
	return (volatile uint64_t *)((char *)base + page * PAGE);
}

/* --- turns: one process runs at a time, and says whose turn is next ----------------------------
 */

struct turns {
	int pipe[8][2];
};

static struct turns *make_turns(unsigned n)
{
	struct turns *t = map(PAGE, MAP_SHARED);

	for (unsigned i = 0; i < n; i++)
		if (pipe(t->pipe[i]))
			abort();
	return t;
}

static void await(struct turns *t, unsigned me)
{
	char c;

	if (read(t->pipe[me][0], &c, 1) != 1)
		abort();
}

static void pass(struct turns *t, unsigned whom)
{
	if (write(t->pipe[whom][1], "x", 1) != 1)
		abort();
}

/* The child's end: what it found wrong, and its sum by way of shared memory. */
static void leave(volatile uint64_t *out)
{
	out[0] = sum;
	out[1] = wrong;
	_exit(0);
}

static void join(volatile uint64_t *out, unsigned children)
{
	while (wait(NULL) > 0)
		;
	for (unsigned i = 0; i < children; i++) {
		take(out[2 * i]);
		wrong += (unsigned)out[2 * i + 1];
	}
}

/* --- parts -------------------------------------------------------------------------------------
 */

#define SHARERS 5u
#define STRIPE	48u /* pages */

/* Each writes its stripe, drops its own mapping of another's, and reads all. */
static void sharer(struct turns *t, void *mem, unsigned me)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		await(t, me);
		for (unsigned page = 0; page < STRIPE; page++)
			*word(mem, me * STRIPE + page) = value(me, round, page);
		madvise((char *)mem + (me + round) % SHARERS * STRIPE * PAGE, STRIPE * PAGE,
			MADV_DONTNEED);
		mprotect((char *)mem + me * STRIPE * PAGE, STRIPE * PAGE,
			 round & 1 ? PROT_READ : PROT_READ | PROT_WRITE);
		for (unsigned who = 0; who < SHARERS; who++)
			for (unsigned page = 0; page < STRIPE; page += 5)
				if (round || who <= me)
					expect(*word(mem, who * STRIPE + page),
					       value(who, who <= me ? round : round - 1, page));
		mprotect((char *)mem + me * STRIPE * PAGE, STRIPE * PAGE, PROT_READ | PROT_WRITE);
		pass(t, (me + 1) % SHARERS);
	}
}

static void shared(void)
{
	struct turns *t = make_turns(SHARERS);
	void *mem = map(SHARERS * STRIPE * PAGE, MAP_SHARED);
	volatile uint64_t *out = map(PAGE, MAP_SHARED);

	for (unsigned i = 0; i < SHARERS; i++) {
		if (fork() == 0) {
			sharer(t, mem, i);
			leave(out + 2 * i);
		}
	}
	pass(t, 0);
	join(out, SHARERS);
}

#define EDITED 600u /* pages: several last-level tables */

static void write_into(pid_t pid, void *at, uint64_t v)
{
	struct iovec from = {&v, sizeof(v)}, to = {at, sizeof(v)};

	if (process_vm_writev(pid, &from, 1, &to, 1, 0) != sizeof(v))
		abort();
}

/* What the parent has the kernel write is what the child finds: on pages still shared with it since
 * fork, and on such as were never touched. */
static void edited_child(struct turns *t, void *mem)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		await(t, 1);
		for (unsigned page = round % 7; page < EDITED; page += 7)
			expect(*word(mem, page), value(9, round, page));
		for (unsigned page = 0; page < EDITED; page += 13)
			*word(mem, page) = value(8, round, page);
		if (round % 4 == 3)
			madvise(mem, EDITED * PAGE, MADV_DONTNEED);
		pass(t, 0);
	}
}

static void edited(void)
{
	struct turns *t = make_turns(2);
	void *mem = map(EDITED * PAGE, MAP_PRIVATE);
	volatile uint64_t *out = map(PAGE, MAP_SHARED);
	pid_t pid;

	for (unsigned page = 0; page < EDITED; page += 2)
		*word(mem, page) = page;
	pid = fork();
	if (pid == 0) {
		edited_child(t, mem);
		leave(out);
	}
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned page = round % 7; page < EDITED; page += 7)
			write_into(pid, (void *)word(mem, page), value(9, round, page));
		pass(t, 1);
		await(t, 0);
		for (unsigned page = 0; page < EDITED; page++)
			expect(*word(mem, page), page % 2 ? 0 : page);
	}
	join(out, 1);
}

/* Pages of a file vanish from under a mapping, and others come in their place. */
static void punched_child(struct turns *t, void *mem, unsigned pages)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		await(t, 1);
		for (unsigned page = 0; page < pages; page++)
			expect(*word(mem, page), (page + round) % 3 ? value(7, round, page) : 0);
		for (unsigned page = 0; page < pages; page += 2)
			*word(mem, page) = ~0ull;
		pass(t, 0);
	}
}

static void punched(void)
{
	enum { PAGES = 300 };
	struct turns *t = make_turns(2);
	volatile uint64_t *out = map(PAGE, MAP_SHARED);
	int fd = memfd_create("f", 0);
	void *mem;

	if (fd < 0 || ftruncate(fd, PAGES * PAGE))
		abort();
	mem = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fork() == 0) {
		punched_child(t, mem, PAGES);
		leave(out);
	}
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned page = 0; page < PAGES; page++)
			*word(mem, page) = value(7, round, page);
		for (unsigned page = 0; page < PAGES; page++)
			if ((page + round) % 3 == 0 &&
			    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, page * PAGE,
				      PAGE))
				abort();
		pass(t, 1);
		await(t, 0);
		for (unsigned page = 0; page < PAGES; page += 2)
			expect(*word(mem, page), ~0ull);
	}
	join(out, 1);
}

/* Tables are moved, split and given back between the turns of a process that only reads. */
static void moved_child(struct turns *t, void *ring, unsigned pages)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		await(t, 1);
		for (unsigned page = 0; page < pages; page += 3)
			expect(*word(ring, page), value(6, round, page));
		pass(t, 0);
	}
}

static void moved(void)
{
	enum { PAGES = 1024 };
	struct turns *t = make_turns(2);
	volatile uint64_t *out = map(PAGE, MAP_SHARED);
	void *ring = map(PAGES * PAGE, MAP_SHARED);
	char *room = map(32 * MIB, MAP_PRIVATE), *at;

	at = (char *)(((uintptr_t)room + 4 * MIB) & ~(2 * MIB - 1));
	if (fork() == 0) {
		moved_child(t, ring, PAGES);
		leave(out);
	}
	for (unsigned round = 0; round < ROUNDS; round++) {
		char *to = at + (round % 2 ? 0 : 8 * MIB), *from = at + (round % 2 ? 8 * MIB : 0);

		for (unsigned page = 0; page < PAGES; page++) {
			*word(ring, page) = value(6, round, page);
			*word(from, page) = value(5, round, page);
		}
		if (mremap(from, 4 * MIB, 4 * MIB, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to ||
		    mmap(from, 4 * MIB, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != from)
			abort();
		pass(t, 1);
		await(t, 0);
		for (unsigned page = 0; page < PAGES; page += 3) {
			expect(*word(to, page), value(5, round, page));
			expect(*word(from, page), 0);
		}
	}
	join(out, 1);
}

/* Many short lives: address spaces made, copied at writes, and given up; some by a new program. */
static int generation(char *mem, unsigned depth, unsigned seed)
{
	unsigned total = 0;
	int status;

	for (unsigned i = 0; i < 3; i++) {
		for (unsigned page = i; page < 64; page += 3)
			total += (unsigned)(*word(mem, page) += seed + i);
		if (depth && fork() == 0)
			_exit(generation(mem, depth - 1, seed * 3 + i));
		if (depth && wait(&status) > 0)
			total += (unsigned)WEXITSTATUS(status);
	}
	return (int)(total & 0x7f);
}

static void storm(void)
{
	char *mem = map(64 * PAGE, MAP_PRIVATE);
	char number[16];
	int status;

	for (unsigned i = 0; i < 6; i++)
		take((uint64_t)generation(mem, 3, i));
	for (unsigned i = 0; i < 30; i++) {
		snprintf(number, sizeof(number), "%u", i);
		if (fork() == 0) {
			execl("/init", "init", number, NULL);
			_exit(1);
		}
		wait(&status);
		expect((uint64_t)WEXITSTATUS(status), (i * 7 + 3) & 0x7f);
	}
}

/* Threads in one address space, kernel threads in between, memory that the kernel shifts about. */
static void *thread(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	uintptr_t bad = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		char *mem = map(256 * PAGE, MAP_PRIVATE);

		for (unsigned page = 0; page < 256; page += 2)
			*word(mem, page) = value(me, round, page);
		usleep(200);
		for (unsigned page = 0; page < 256; page++)
			bad += *word(mem, page) != (page % 2 ? 0 : value(me, round, page));
		munmap(mem, 256 * PAGE);
	}
	return (void *)bad;
}

static void poke(const char *path)
{
	int fd = open(path, O_WRONLY);

	if (fd >= 0 && write(fd, "1", 1) < 0)
		take(0); /* not in this kernel: the same in every mode */
	close(fd);
}

static void threads(void)
{
	pthread_t id[4];
	void *bad;

	for (unsigned i = 0; i < 4; i++)
		if (pthread_create(&id[i], NULL, thread, (void *)(uintptr_t)i))
			abort();
	for (unsigned i = 0; i < 6; i++) {
		poke("/proc/sys/vm/compact_memory");
		poke("/proc/sys/vm/drop_caches");
		sync();
		usleep(3000);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(id[i], &bad);
		expect((uintptr_t)bad, 0);
	}
}

static void part(const char *name, void (*run)(void))
{
	sum = 1;
	run();
	printf("adversary: %s %016llx %u wrong\n", name, (unsigned long long)sum, wrong);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	if (argc > 1 && getpid() != 1) /* storm()'s */
		return (atoi(argv[1]) * 7 + 3) & 0x7f;
	mount("proc", "/proc", "proc", 0, NULL);
	part("shared", shared);
	part("edited", edited);
	part("punched", punched);
	part("moved", moved);
	part("storm", storm);
	part("threads", threads);
	printf("adversary: end\n");
	fflush(stdout);
	sync();
	return reboot(RB_POWER_OFF);
}
