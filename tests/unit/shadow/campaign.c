/* Running and shrinking random streams; see campaign.h.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "shadow/campaign.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct rig rig;

static void run_here(const struct stream *s, struct verdict *v)
{
	v->ran = stream_run(&rig, s);
	v->failed = rig.failed;
	v->kind = rig.kind;
	memcpy(v->message, rig.message, sizeof(v->message));
	v->n = rig.n;
	v->stale = rig.oracle.stale;
	v->unsure = rig.oracle.unsure;
	v->flushes = rig.mmu.flushes;
	v->page_flushes = rig.mmu.page_flushes;
	v->walks = rig.mmu.walks;
}

static struct verdict *shared_verdict(void)
{
	static struct verdict *shared;

	if (!shared)
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		abort();
	return shared;
}

void campaign_try(const struct stream *s, struct verdict *v)
{
	struct verdict *shared = shared_verdict();
	int status = 0;
	pid_t child;

	memset(shared, 0, sizeof(*shared));
	fflush(NULL);
	child = fork();
	if (child < 0)
		abort();
	if (!child) {
		alarm(CAMPAIGN_SECONDS);
		run_here(s, shared);
		_exit(0);
	}
	waitpid(child, &status, 0);
	*v = *shared;
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		v->failed = true;
		v->kind = 0;
		v->ran = s->count;
		snprintf(v->message, sizeof(v->message), "%s %d (crash, or it hangs)",
			 WIFSIGNALED(status) ? "signal" : "exit status",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	}
}

/* --- shrinking --- */

struct shrinker {
	struct stream *s;
	struct verdict *v;
	struct op *scratch;
	time_t deadline;
};

static bool still_fails(struct shrinker *k, struct stream *t)
{
	struct verdict v;

	if (time(NULL) > k->deadline)
		return false;
	campaign_try(t, &v);
	/* Another failure is another story. */
	if (!v.failed || v.kind != k->v->kind)
		return false;
	*k->v = v;
	memmove(k->s->op, t->op, t->count * sizeof(*t->op));
	k->s->count = MIN(t->count, v.ran);
	k->s->setup = t->setup;
	return true;
}

static bool without(struct shrinker *k, unsigned at, unsigned len)
{
	struct stream t = *k->s;

	t.op = k->scratch;
	memcpy(t.op, k->s->op, at * sizeof(*t.op));
	memcpy(t.op + at, k->s->op + at + len, (k->s->count - at - len) * sizeof(*t.op));
	t.count -= len;
	return still_fails(k, &t);
}

static void remove_chunks(struct shrinker *k)
{
	for (unsigned len = MAX(k->s->count / 2, 1u); len; len /= 2)
		for (unsigned at = k->s->count; at;) {
			at = at > len ? at - len : 0;
			if (at + len <= k->s->count)
				without(k, at, len);
			at = MIN(at, k->s->count);
		}
}

/* What toggles something goes in pairs. */
static void remove_pairs(struct shrinker *k)
{
	for (unsigned i = k->s->count; i-- > 0;)
		for (unsigned j = i; j-- > 0 && i < k->s->count && k->s->count < 100;) {
			struct stream t = *k->s;

			if (t.op[i].code != t.op[j].code)
				continue;
			t.op = k->scratch;
			t.count = 0;
			for (unsigned n = 0; n < k->s->count; n++)
				if (n != i && n != j)
					t.op[t.count++] = k->s->op[n];
			if (still_fails(k, &t))
				break;
		}
}

/* Try the stream with operation @at as @o. */
static bool with(struct shrinker *k, unsigned at, const struct op *o)
{
	struct stream t = *k->s;

	if (at >= t.count || !memcmp(&t.op[at], o, sizeof(*o)))
		return false;
	t.op = k->scratch;
	memcpy(t.op, k->s->op, t.count * sizeof(*t.op));
	t.op[at] = *o;
	return still_fails(k, &t);
}

#define SIMPLER(field, value)                                                                      \
	do {                                                                                       \
		struct op o = k->s->op[at];                                                        \
		o.field = (value);                                                                 \
		with(k, at, &o);                                                                   \
	} while (0)

static void simplify_op(struct shrinker *k, unsigned at)
{
	SIMPLER(luck, 0);
	SIMPLER(extra, 0);
	if (at < k->s->count && k->s->op[at].code != OP_ACCESS)
		SIMPLER(how, 0);
	SIMPLER(target, WORLD_DATA);
	SIMPLER(va, 0);
	for (unsigned bit = 15; bit >= 3 && at < k->s->count; bit--)
		if (k->s->op[at].flags >> bit & 1)
			SIMPLER(flags, (u16)(o.flags & ~(1u << bit)));
}

void campaign_shrink(struct stream *s, struct verdict *v, unsigned seconds)
{
	struct shrinker k = {.s = s, .v = v, .deadline = time(NULL) + (time_t)seconds};
	unsigned before;
	struct stream t;

	k.scratch = calloc(s->count + 1, sizeof(*k.scratch));
	s->count = MIN(s->count, v->ran);
	do {
		before = s->count;
		remove_chunks(&k);
	} while (s->count < before && before > 1);
	t = *s;
	t.setup.forget = 0;
	if (t.setup.audit_every != RIG_BLIND)
		t.setup.audit_every = 0;
	still_fails(&k, &t);
	for (unsigned i = 0; i < s->count; i++)
		simplify_op(&k, i);
	remove_pairs(&k);
	remove_chunks(&k);
	free(k.scratch);
}

/* --- many --- */

static void add(struct verdict *sum, const struct verdict *v)
{
	const u64 *from = (const u64 *)&v->n;
	u64 *to = (u64 *)&sum->n;

	for (unsigned i = 0; i < sizeof(v->n) / sizeof(u64); i++)
		to[i] += from[i];
	sum->stale += v->stale;
	sum->unsure += v->unsure;
	sum->flushes += v->flushes;
	sum->page_flushes += v->page_flushes;
	sum->walks += v->walks;
}

bool campaign_run(const struct campaign *c, struct verdict *total)
{
	struct stream s = {.op = calloc(CAMPAIGN_STREAM, sizeof(struct op))};
	struct verdict v;
	bool ok = true;

	memset(total, 0, sizeof(*total));
	for (u64 seed = c->seed; total->n.ops < c->ops && ok; seed++) {
		stream_generate(&s, seed, c->mode, c->policy, CAMPAIGN_STREAM);
		s.setup.mixed = c->mixed;
		if (c->blind)
			s.setup.audit_every = RIG_BLIND;
		campaign_try(&s, &v);
		add(total, &v);
		ok = !v.failed;
		memcpy(total->message, v.message, sizeof(v.message));
		if (ok || c->expected)
			continue;
		printf("# stream %llu fails at operation %u: %s\n", (unsigned long long)seed, v.ran,
		       v.message);
		campaign_shrink(&s, &v, 60);
		printf("# shrunk to %u operations: %s\n", s.count, v.message);
		stream_print(stdout, &s);
	}
	free(s.op);
	return ok;
}

unsigned campaign_finders(struct campaign c)
{
	static const enum ref_mode modes[] = {REF_32, REF_PAE, REF_LONG};
	unsigned found = 0;

	c.expected = c.blind = true;
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++, c.seed += 1000) {
		struct verdict t;

		c.mode = modes[i];
		if (campaign_run(&c, &t))
			continue;
		found++;
		printf("# mode %d, after %llu operations: %s\n", modes[i],
		       (unsigned long long)t.n.ops, t.message);
	}
	return found;
}

bool campaign_replay(const char *path)
{
	struct stream s = {.count = CAMPAIGN_STREAM,
			   .op = calloc(CAMPAIGN_STREAM, sizeof(struct op))};
	FILE *f = fopen(path, "r");
	struct verdict v;

	if (!f || !stream_read(f, &s)) {
		printf("# %s: no stream\n", path);
		return false;
	}
	fclose(f);
	campaign_try(&s, &v);
	printf("# %s: %u operations, %s\n", path, v.ran, v.failed ? v.message : "fine");
	free(s.op);
	return !v.failed;
}
