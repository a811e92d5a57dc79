/* Loads made of two others.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loads.h"

/* "A/B/T": names of two loads, which run by their own default parameters, and a count of rounds. */
struct pair {
	const struct load *load[2];
	unsigned rounds;
};

static struct pair parse(const char *param)
{
	const char *second = strchr(param, '/');
	const char *rounds = second ? strchr(second + 1, '/') : NULL;
	struct pair p = {{NULL, NULL}, 0};

	if (!rounds)
		die("A/B/ROUNDS is wanted");
	p.load[0] = load_find(param, (size_t)(second - param));
	p.load[1] = load_find(second + 1, (size_t)(rounds - second - 1));
	p.rounds = number(rounds + 1);
	if (!p.load[0] || !p.load[1])
		die("A/B/ROUNDS names an unknown load");
	return p;
}

static void prepare(const char *param)
{
	struct pair p = parse(param);

	for (unsigned i = 0; i < 2; i++)
		if (p.load[i]->prepare)
			p.load[i]->prepare(p.load[i]->param);
}

static uint64_t run(const struct load *l, unsigned rounds)
{
	uint64_t sum = SUM_START;

	while (rounds--)
		sum = sum_number(sum, l->round(l->param));
	return sum;
}

void phases_prepare(const char *param)
{
	prepare(param);
}

/* Each phase is announced: who watches from outside sees which mode it ran in. */
uint64_t phases(const char *param)
{
	struct pair p = parse(param);
	uint64_t sum = SUM_START;

	for (unsigned i = 0; i < 2; i++) {
		printf("phase %s\n", p.load[i]->name);
		sum = sum_number(sum, run(p.load[i], p.rounds));
	}
	return sum;
}

void mix_prepare(const char *param)
{
	prepare(param);
}

uint64_t mix(const char *param)
{
	struct pair p = parse(param);
	uint64_t sum[2];
	int back[2];
	pid_t pid;

	if (pipe(back) || (pid = fork()) < 0)
		die("mix");
	if (pid == 0) {
		sum[1] = run(p.load[1], p.rounds);
		_exit(write(back[1], &sum[1], sizeof(sum[1])) != sizeof(sum[1]));
	}
	sum[0] = run(p.load[0], p.rounds);
	close(back[1]);
	if (read(back[0], &sum[1], sizeof(sum[1])) != sizeof(sum[1]))
		die("mix: the other process ended");
	close(back[0]);
	waitpid(pid, NULL, 0);
	return sum_number(sum_number(SUM_START, sum[0]), sum[1]);
}
