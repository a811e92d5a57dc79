/* A Linux process that works its kernel's page tables hard and knows what every page of it has to
 * be: mappings made, moved, cut, protected, dropped and copied by fork, and every access checked
 * against a model, faults included. Run as /init it boots, forks FORKS children one after the
 * other, storms, powers off.
 *
 * Catches a page that reads as another or as an older self, and a right that is not there or still
 * there.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE	   4096u
#define PAGES	   2048u /* 8 MiB: large pages fit */
#define HUGE_BYTES (2u << 20)
#define FORKS	   30u
#define STEPS	   200u

struct page {
	bool mapped;
	int prot;
	uint32_t value;
};

static struct page page[PAGES];
static uint8_t *arena;
static uint32_t seed = 0x2545f491, sum;
static unsigned accesses, faults;
static sigjmp_buf back;

static uint32_t pick(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return (seed >> 3) % n;
}

static void die(const char *what, unsigned n)
{
	printf("not ok mmapstorm: %s, page %u: %s\n", what, n, strerror(errno));
	exit(1);
}

static void fold(uint32_t v)
{
	sum = (sum << 5 | sum >> 27) ^ v;
	sum *= 0x01000193u;
}

static uint8_t *at(unsigned n)
{
	return arena + (size_t)n * PAGE;
}

/* Not the same place in each page. */
static volatile uint32_t *word_of(unsigned n)
{
	return (volatile uint32_t *)(void *)(at(n) + n % 1000 * 4);
}

/* --- accesses --------------------------------------------------------------------------------- */

static void on_fault(int signal)
{
	(void)signal;
	siglongjmp(back, 1);
}

static bool may(const struct page *p, int prot)
{
	return p->mapped && (p->prot & prot);
}

static void read_page(unsigned n)
{
	volatile bool faulted = true;
	volatile uint32_t value = 0;

	if (!sigsetjmp(back, 0)) {
		value = *word_of(n);
		faulted = false;
	}
	accesses++;
	faults += faulted;
	if (faulted == may(&page[n], PROT_READ))
		die(faulted ? "a read fault" : "no read fault", n);
	if (!faulted && value != page[n].value)
		die("read something else", n);
	fold(value);
}

static void write_page(unsigned n, uint32_t value)
{
	volatile bool faulted = true;

	if (!sigsetjmp(back, 0)) {
		*word_of(n) = value;
		faulted = false;
	}
	accesses++;
	faults += faulted;
	if (faulted == may(&page[n], PROT_WRITE))
		die(faulted ? "a write fault" : "no write fault", n);
	if (!faulted)
		page[n].value = value;
}

static void read_all(void)
{
	for (unsigned n = 0; n < PAGES; n++)
		read_page(n);
}

/* --- steps ------------------------------------------------------------------------------------ */

static int some_prot(void)
{
	static const int prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
				    PROT_READ | PROT_WRITE};

	return prots[pick(4)];
}

static void map_pages(unsigned first, unsigned n)
{
	if (mmap(at(first), (size_t)n * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		die("mmap", first);
	for (unsigned i = first; i < first + n; i++)
		page[i] = (struct page){true, PROT_READ | PROT_WRITE, 0};
}

static void unmap_pages(unsigned first, unsigned n)
{
	if (munmap(at(first), (size_t)n * PAGE))
		die("munmap", first);
	memset(&page[first], 0, n * sizeof(page[0]));
}

static void protect_pages(unsigned first, unsigned n)
{
	int prot = some_prot();

	for (unsigned i = first; i < first + n; i++) {
		if (!page[i].mapped)
			continue;
		if (mprotect(at(i), PAGE, prot))
			die("mprotect", i);
		page[i].prot = prot;
	}
}

static void drop_pages(unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++) {
		if (!page[i].mapped)
			continue;
		if (madvise(at(i), PAGE, MADV_DONTNEED))
			die("madvise", i);
		page[i].value = 0;
	}
}

/* Where the word lies depends on the page's number, so the page moves with the word rewritten. */
static void move_page(unsigned from, unsigned to)
{
	uint32_t value = page[from].value;

	if (from == to || !may(&page[from], PROT_WRITE))
		return;
	*word_of(from) = 0;
	if (mremap(at(from), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(to)) != at(to))
		die("mremap", from);
	page[to] = page[from];
	page[from].mapped = false;
	*word_of(to) = value;
}

static void write_pages(unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++)
		write_page(i, pick(~0u));
}

static void read_pages(unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++)
		read_page(i);
}

static void wait_for(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		die("child", (unsigned)pid);
}

/* Child and parent write what they share; each must see its own. */
static void fork_and_write(unsigned first, unsigned n)
{
	pid_t pid = fork();

	if (pid == 0) {
		read_pages(first, n);
		write_pages(first, n);
		drop_pages(first, n / 2);
		read_pages(first, n);
		_exit(0);
	}
	write_pages(first, n / 2);
	wait_for(pid);
	read_pages(first, n);
}

static void step(void)
{
	unsigned n = 1 + pick(pick(8) ? 16 : 256), first = pick(PAGES - n);

	switch (pick(12)) {
	case 0:
		map_pages(first, n);
		break;
	case 1:
		unmap_pages(first, n > 32 ? 32 : n);
		break;
	case 2:
	case 3:
		protect_pages(first, n);
		break;
	case 4:
		drop_pages(first, n);
		break;
	case 5:
	case 6:
		move_page(first, pick(PAGES));
		break;
	case 7:
		if (pick(4) == 0)
			fork_and_write(first, n > 64 ? 64 : n);
		break;
	case 8:
	case 9:
		read_pages(first, n);
		break;
	default:
		write_pages(first, n);
	}
}

static void begin(void)
{
	struct sigaction a = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};
	uint8_t *p = mmap(NULL, (size_t)PAGES * PAGE + HUGE_BYTES, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED || sigaction(SIGSEGV, &a, NULL))
		die("mmap", 0);
	arena = p + (-(uintptr_t)p & (HUGE_BYTES - 1));
	map_pages(0, PAGES);
	/* Half of it in large pages where the kernel has them; a kernel without refuses, rightly.
	 */
	madvise(arena, (size_t)PAGES / 2 * PAGE, MADV_HUGEPAGE);
}

static void fork_and_wait(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	wait_for(pid);
}

static void storm(void)
{
	begin();
	for (unsigned i = 0; i < STEPS; i++)
		step();
	read_all();
	printf("mmapstorm: %u forks, %u steps, %u accesses, %u faults, sum %08x\nok mmapstorm\n",
	       FORKS, STEPS, accesses, faults, sum);
}

int main(void)
{
	pid_t pid;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("mmapstorm: begin\n");
	for (unsigned i = 0; i < FORKS; i++)
		fork_and_wait();
	/* Not in init itself: of each of its faults the kernel says a line. */
	pid = fork();
	if (pid == 0) {
		storm();
		exit(0);
	}
	wait_for(pid);
	if (getpid() == 1) {
		sync();
		reboot(RB_POWER_OFF);
	}
	return 0;
}
