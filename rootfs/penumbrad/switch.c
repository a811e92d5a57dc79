/* The learning switch.
 *
 * SPDX-License-Identifier: MIT
 */
#include "switch.h"

#include <string.h>

#define ETH_HEADER 14

static unsigned first_way(const u8 *mac)
{
	u32 h = 2166136261u; /* FNV-1a */

	for (int i = 0; i < 6; i++)
		h = (h ^ mac[i]) * 16777619u;
	return (h ^ h >> 15) & (SWITCH_ENTRIES - 1);
}

static struct switch_entry *way(struct eth_switch *s, const u8 *mac, unsigned i)
{
	return &s->table[(first_way(mac) + i) & (SWITCH_ENTRIES - 1)];
}

static struct switch_entry *find(struct eth_switch *s, const u8 *mac, u64 now)
{
	for (unsigned i = 0; i < SWITCH_WAYS; i++) {
		struct switch_entry *e = way(s, mac, i);

		if (e->used && !memcmp(e->mac, mac, 6))
			return now - e->seen_ns < SWITCH_AGE_NS ? e : NULL;
	}
	return NULL;
}

/* The address's own place, else an unused one, else the oldest: a guest that sends from thousands
 * of addresses costs the others flooding, not memory. */
static struct switch_entry *place(struct eth_switch *s, const u8 *mac)
{
	struct switch_entry *best = way(s, mac, 0);

	for (unsigned i = 0; i < SWITCH_WAYS; i++) {
		struct switch_entry *e = way(s, mac, i);

		if (e->used && !memcmp(e->mac, mac, 6))
			return e;
		if (best->used && (!e->used || e->seen_ns < best->seen_ns))
			best = e;
	}
	return best;
}

static void learn(struct eth_switch *s, unsigned port, const u8 *mac, u64 now)
{
	struct switch_entry *e;

	if (mac[0] & 1) /* a group's address is nobody's */
		return;
	e = place(s, mac);
	memcpy(e->mac, mac, 6);
	e->port = (u8)port;
	e->used = true;
	e->seen_ns = now;
}

void switch_join(struct eth_switch *s, unsigned port)
{
	s->members |= 1u << port;
}

void switch_leave(struct eth_switch *s, unsigned port)
{
	s->members &= ~(1u << port);
	for (unsigned i = 0; i < SWITCH_ENTRIES; i++) {
		if (s->table[i].used && s->table[i].port == port)
			s->table[i].used = false;
	}
}

u32 switch_frame(struct eth_switch *s, unsigned port, const u8 *frame, size_t len, u64 now_ns)
{
	const struct switch_entry *e;
	u32 others = s->members & ~(1u << port);

	if (len < ETH_HEADER || !(s->members & 1u << port))
		return 0;
	learn(s, port, frame + 6, now_ns);
	e = frame[0] & 1 ? NULL : find(s, frame, now_ns);
	if (!e) {
		s->flooded++;
		return others;
	}
	s->forwarded++;
	return 1u << e->port & others;
}
