/* The files of a collection; see output.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "output.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void note_error(struct output *o, const char *what)
{
	if (o->error)
		return;
	o->error = errno ? errno : EIO;
	fprintf(stderr, "pncollect: %s/%s: %s\n", o->dir, what, strerror(o->error));
}

/* "NAME.log" or "NAME.2.log"; a blank between name and screen becomes a dot. */
static FILE *open_file(struct output *o, const char *name, const char *suffix)
{
	char path[PATH_MAX], number[16] = "";
	size_t start;
	FILE *f;

	if (o->session > 1)
		snprintf(number, sizeof(number), ".%u", o->session);
	start = (size_t)snprintf(path, sizeof(path), "%s/", o->dir);
	if (snprintf(path + start, sizeof(path) - start, "%s%s.%s", name, number, suffix) >=
	    (int)(sizeof(path) - start)) {
		errno = ENAMETOOLONG;
		note_error(o, name);
		return NULL;
	}
	for (char *p = path + start; *p; p++)
		if (*p == ':')
			*p = '.';
	f = fopen(path, "wb");
	if (!f)
		note_error(o, path + start);
	return f;
}

int output_open(struct output *o, const char *dir, bool force, bool raw)
{
	char path[PATH_MAX];

	*o = (struct output){.dir = dir, .session = 1};
	if (!dir)
		return 0;
	if (mkdir(dir, 0777) && errno != EEXIST) {
		fprintf(stderr, "pncollect: %s: %s\n", dir, strerror(errno));
		return -errno;
	}
	snprintf(path, sizeof(path), "%s/results.jsonl", dir);
	if (!force && !access(path, F_OK)) {
		fprintf(stderr,
			"pncollect: %s has a collection already; name another directory (-o) or "
			"say --force\n",
			dir);
		return -EEXIST;
	}
	if (raw)
		o->raw = open_file(o, "serial", "raw");
	o->results = open_file(o, "results", "jsonl");
	return -o->error;
}

static void put(struct output *o, FILE *f, const char *data, size_t n, const char *what)
{
	if (f && fwrite(data, 1, n, f) != n)
		note_error(o, what);
}

void output_raw(struct output *o, const char *data, size_t n)
{
	put(o, o->raw, data, n, "serial.raw");
}

void output_text(struct output *o, const char *name, struct span text)
{
	unsigned i = 0;

	if (!o->dir)
		return;
	while (i < o->nlogs && strcmp(o->log[i].name, name))
		i++;
	if (i == OUTPUT_LOGS)
		return;
	if (i == o->nlogs) {
		snprintf(o->log[i].name, sizeof(o->log[i].name), "%s", name);
		o->log[i].f = open_file(o, name, "log");
		o->nlogs++;
	}
	put(o, o->log[i].f, text.p, text.len, name);
}

void output_record(struct output *o, struct span line)
{
	put(o, o->results, line.p, line.len, "results.jsonl");
	put(o, o->results, "\n", 1, "results.jsonl");
}

void output_bulk(struct output *o, struct span line)
{
	if (o->dir && !o->bulk)
		o->bulk = open_file(o, "trace", "jsonl");
	put(o, o->bulk, line.p, line.len, "trace.jsonl");
	put(o, o->bulk, "\n", 1, "trace.jsonl");
}

static void flush_file(struct output *o, FILE *f)
{
	if (f && fflush(f))
		note_error(o, "writing");
}

void output_flush(struct output *o)
{
	flush_file(o, o->raw);
	flush_file(o, o->results);
	flush_file(o, o->bulk);
	for (unsigned i = 0; i < o->nlogs; i++)
		flush_file(o, o->log[i].f);
}

static void close_file(struct output *o, FILE **f)
{
	if (*f && fclose(*f))
		note_error(o, "closing");
	*f = NULL;
}

static void close_session(struct output *o)
{
	close_file(o, &o->results);
	close_file(o, &o->bulk);
	for (unsigned i = 0; i < o->nlogs; i++)
		close_file(o, &o->log[i].f);
	o->nlogs = 0;
}

void output_session(struct output *o, unsigned session)
{
	if (!o->dir)
		return;
	close_session(o);
	o->session = session;
	o->results = open_file(o, "results", "jsonl");
}

void output_close(struct output *o)
{
	close_session(o);
	close_file(o, &o->raw);
}
