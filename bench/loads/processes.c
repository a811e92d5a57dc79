/* Loads made of processes.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loads.h"

#define DIRTY_PAGES  256u /* of the parent's, which children write to */
#define MOTION_COUNT 3u
#define STORM_BORN   48u
#define STORM_PAGES  48u
#define TCC	     "/tcc/tcc"
#define TCC_OUT	     "/tcc/out.o"

/* fork(); the child runs @child(@arg) and ends with its low 7 bits. */
static pid_t spawn(int (*child)(unsigned arg), unsigned arg)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0)
		_exit(child(arg) & 127);
	return pid;
}

static uint64_t reap(pid_t pid, uint64_t sum)
{
	int status;

	if (waitpid(pid, &status, 0) < 0)
		die("waitpid");
	if (!WIFEXITED(status))
		die("a child was killed");
	return sum_number(sum, (uint64_t)WEXITSTATUS(status));
}

/* @n children one after the other. */
static uint64_t one_by_one(unsigned n, int (*child)(unsigned arg))
{
	uint64_t sum = SUM_START;

	for (unsigned i = 0; i < n; i++)
		sum = reap(spawn(child, i), sum);
	return sum;
}

static int end_at_once(unsigned i)
{
	return (int)i;
}

uint64_t forkwait(const char *param)
{
	return one_by_one(number(param), end_at_once);
}

static uint8_t *dirty;

static int write_copies(unsigned i)
{
	unsigned sum = i;

	for (unsigned page = 0; page < DIRTY_PAGES; page += 2) {
		sum += dirty[page * PAGE];
		dirty[page * PAGE] = (uint8_t)sum;
	}
	return (int)sum;
}

uint64_t fork_test(const char *param)
{
	if (!dirty)
		dirty = pages(DIRTY_PAGES);
	for (unsigned page = 0; page < DIRTY_PAGES; page++)
		dirty[page * PAGE] = (uint8_t)page;
	return one_by_one(number(param), write_copies);
}

static int run_self(unsigned i)
{
	char code[8];

	snprintf(code, sizeof(code), "%u", i & 127);
	execl(self, self, "exit", code, (char *)NULL);
	return 127;
}

uint64_t exec_test(const char *param)
{
	return one_by_one(number(param), run_self);
}

/* --- memory that moves from process to process --------------------------------------------------
 */

static unsigned motion_mib;

static int write_read_free(unsigned i)
{
	unsigned sum = 0;

	for (unsigned mib = 0; mib < motion_mib; mib++) {
		uint8_t *p = malloc(MIB);

		if (!p)
			return 127;
		for (unsigned at = 0; at < MIB; at += PAGE)
			p[at] = (uint8_t)(at / PAGE + i + mib);
		for (unsigned at = 0; at < MIB; at += PAGE)
			sum += p[at];
		free(p);
	}
	return (int)sum;
}

uint64_t memmotion(const char *param)
{
	motion_mib = number(param);
	return one_by_one(MOTION_COUNT, write_read_free);
}

/* --- many young ones -----------------------------------------------------------------------------
 */

static int short_life(unsigned i)
{
	uint8_t *p = pages(STORM_PAGES);
	unsigned sum = i;

	for (unsigned page = 0; page < STORM_PAGES; page++)
		p[(size_t)page * PAGE] = (uint8_t)(page + i);
	for (unsigned page = 0; page < STORM_PAGES; page++)
		sum += p[(size_t)page * PAGE];
	return (int)sum;
}

uint64_t spawnstorm(const char *param)
{
	unsigned alive = number(param);
	pid_t *child = calloc(alive, sizeof(*child));
	uint64_t sum = SUM_START;

	if (!child)
		die("calloc");
	for (unsigned born = 0; born < STORM_BORN + alive; born++) {
		pid_t *slot = &child[born % alive];

		if (*slot)
			sum = reap(*slot, sum);
		*slot = born < STORM_BORN ? spawn(short_life, born) : 0;
	}
	free(child);
	return sum;
}

/* --- a compiler ----------------------------------------------------------------------------------
 */

static int run_tcc(unsigned i)
{
	int null = open("/dev/null", O_WRONLY);

	(void)i;
	if (null >= 0)
		dup2(null, 2); /* its warnings about itself */
	execl(TCC, TCC, "-nostdinc", "-I/tcc/src", "-I/tcc/src/include", "-I/tcc/include",
	      "-DONE_SOURCE=1", "-DTCC_TARGET_X86_64=1", "-c", "-o", TCC_OUT, "/tcc/src/tcc.c",
	      (char *)NULL);
	return 127;
}

static uint64_t sum_file(const char *path, uint64_t sum)
{
	static uint8_t buf[65536];
	int fd = open(path, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		die(path);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		sum = sum_bytes(sum, buf, (size_t)n);
	close(fd);
	return sum;
}

uint64_t compile(const char *param)
{
	uint64_t sum = one_by_one(number(param), run_tcc);

	return sum_file(TCC_OUT, sum);
}
