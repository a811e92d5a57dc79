/* Random programs of record calls, on a line that is full now and then: every line that comes out
 * is a valid record with the right crc, no number is missing or out of order unless it is counted
 * as dropped, and a repetition is byte-identical.
 *
 * SPDX-License-Identifier: MIT
 * SRCS: hv/chan/records.c hv/lib/crc32.c hv/lib/str.c
 */
#include "fuzz.h"

#include "chan/records.h"
#include "record_check.h"

#define KEPT 1024

static struct record_store store;
static unsigned room;
static u64 highest; /* number last sent for the first time */
static char *sent[KEPT];

static bool emit(void *ctx, const char *text, unsigned len, bool may_drop)
{
	char copy[RECORD_MAX + 1];
	const char *wrong;
	u64 seq = 0;

	(void)ctx;
	if (!room)
		return false;
	room--;
	MUST(len <= RECORD_MAX);
	memcpy(copy, text, len);
	copy[len] = '\0';
	wrong = record_check(copy, len, &seq);
	if (wrong)
		fprintf(stderr, "%s wrong in %s\n", wrong, copy);
	MUST(!wrong);
	MUST(seq || may_drop);
	if (!seq) /* bulk data */
		return true;
	if (seq > highest) {
		MUST(seq == highest + 1 || seq <= highest + 1 + store.dropped);
		MUST(!may_drop || seq == highest + 1);
		highest = seq;
		free(sent[seq % KEPT]);
		sent[seq % KEPT] = strdup(copy);
	} else if (highest - seq < KEPT && sent[seq % KEPT]) {
		MUST(!strcmp(sent[seq % KEPT], copy));
	}
	return true;
}

static u64 now_us(void *ctx)
{
	(void)ctx;
	return 5;
}

static void member(struct program *prog, struct record *r)
{
	static char text[RECORD_MAX * 4];
	static const char *const key[] = {NULL, "k", "key\"", "a_rather_long_key_\x01_with_a_byte"};
	u8 op = take(prog);
	const char *k = key[r->depth && r->closer[r->depth - 1] == ']' ? 0 : 1 + (op >> 4) % 3];
	size_t len = (size_t)take(prog) << (op >> 6) * 2;

	switch (op & 7) {
	case 0:
		record_u64(r, k, (u64)take(prog) << (op >> 2));
		break;
	case 1:
		record_s64(r, k, (s8)take(prog));
		break;
	case 2:
		record_hex(r, k, take(prog));
		break;
	case 3:
		memset(text, take(prog), len);
		record_strn(r, k, text, len);
		break;
	case 4:
		record_object(r, k);
		break;
	case 5:
		record_array(r, k);
		break;
	case 6:
		memset(text, take(prog), len);
		record_base64(r, k, text, len);
		break;
	default:
		record_close(r);
	}
}

static void one_record(struct program *prog)
{
	static struct record r;
	u8 n = take(prog) & 63;

	record_begin(&r, "stats");
	for (u8 i = 0; i < n; i++)
		member(prog, &r);
	if (n & 2 && n & 4)
		record_end_unkept(&store, &r);
	else
		record_end(&store, &r, n & 1);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct program prog = {data, data + size};

	record_store_init(&store, emit, now_us, NULL);
	highest = 0;
	room = 3;
	while (prog.p < prog.end) {
		u8 op = take(&prog);

		switch (op & 7) {
		case 0:
			record_resend(&store, take(&prog), take(&prog));
			break;
		case 1:
			room = op >> 3;
			break;
		case 2:
			record_pump(&store);
			break;
		case 3: { /* many at once: the store wraps */
			const u8 *again = prog.p;

			for (unsigned i = 0; i < (op >> 3) * 8u; i++) {
				prog.p = again;
				one_record(&prog);
			}
			break;
		}
		default:
			one_record(&prog);
		}
		MUST(store.head - store.tail <= RECORD_STORE_SIZE);
	}
	room = UINT32_MAX;
	record_pump(&store);
	MUST(store.unsent.seq == store.next_seq);
	MUST(highest == store.next_seq - 1 || store.dropped);
	record_resend(&store, store.first_kept, store.next_seq - 1);
	for (unsigned i = 0; i < KEPT; i++) {
		free(sent[i]);
		sent[i] = NULL;
	}
	return 0;
}
