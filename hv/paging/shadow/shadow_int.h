/* The inside of the shadow tables: what their files share. docs/paging.md explains it.
 *
 * A struct sh_page is one shadow table: @spt, which the CPU walks, made entry by entry from the
 * guest's table, of which @src is a copy: src[i] is the value that spt[i] was made from. It is
 * found by its key. Reverse references (who maps this frame writable, who links this table) are
 * chains of 32-bit numbers: page << 9 | entry.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_SHADOW_SHADOW_INT_H
#define HV_PAGING_SHADOW_SHADOW_INT_H

#include "lib/x86.h"
#include "paging/shadow/shadow.h"

#define SH_ENTRIES  512u
#define SH_ROOTS    16u
#define SH_OOS_MAX  64u /* tables out of sync at a time */
#define SH_ALL_TAGS ((u32)BIT(SHADOW_TAGS) - 1)

#define SHIFT_4K	      12u
#define SH_LEVEL_SHIFT(level) (SHIFT_4K + 9 * ((level)-1u))
#define SH_LEVEL_SIZE(level)  (1ull << SH_LEVEL_SHIFT(level))

#define PTE_PKEY       (15ull << 59)
#define PTE_PKEY_SHIFT 59

/* Bugs made on purpose, for the test that has to find each (tests/unit/test_shadow_mutations.c). */
enum sh_bug {
	SH_BUG_NONE,
	SH_BUG_RESYNC,	/* the table longest out of sync is not compared at CR3 loads */
	SH_BUG_DIRTY,	/* a leaf is writable although the guest's lacks D */
	SH_BUG_LARGE,	/* a large leaf stays when the guest has split it */
	SH_BUG_FLUSH,	/* tags do not hear of rights lost */
	SH_BUG_ABSENT,	/* entries of a table out of sync fault unheard */
	SH_BUG_PROTECT, /* a frame that becomes a table stays writable */
	SH_BUG_GUARD,	/* a write to a last-level table while frozen is not taken note of */
	SH_BUG_OPEN,	/* frames that come to hold a table in step are not guarded */
};
#ifdef SHADOW_MUTATIONS
extern enum sh_bug shadow_bug;
#define SH_BUG(which) (shadow_bug == SH_BUG_##which)
#else
#define SH_BUG(which) false
#endif

/* --- keys ------------------------------------------------------------------------------------ */

/* Formats of the guest's tables; SH_DIRECT: no table of the guest's, but a range of guest-physical
 * memory, mapped with all rights. */
enum sh_kind { SH_32, SH_PAE, SH_LONG, SH_DIRECT };

/* A key is the table's address (a direct one's: of the memory it maps) with this in the low 12
 * bits. */
#define SH_KEY_KIND_SHIFT  0
#define SH_KEY_LEVEL_SHIFT 2
#define SH_KEY_QUAD_SHIFT  4	  /* 32-bit: half of a table, quarter of a directory */
#define SH_KEY_WP0	   BIT(6) /* CR0.WP is 0: rights are folded, not mirrored */
#define SH_KEY_READONLY	   BIT(7) /* with it: some entry above lacks W */
#define SH_KEY_KERNEL	   BIT(8) /* with it: some entry above lacks U */
#define SH_KEY_PKEY_SHIFT  8	  /* direct tables: protection key of their leaves */

static inline u64 sh_key(gpa_t gpa, enum sh_kind kind, unsigned level, unsigned quad, u64 role)
{
	return gpa | role | (u64)kind << SH_KEY_KIND_SHIFT |
	       (u64)(level - 1) << SH_KEY_LEVEL_SHIFT | (u64)quad << SH_KEY_QUAD_SHIFT;
}

static inline gpa_t sh_key_gpa(u64 key)
{
	return key & ~(PAGE_SIZE - 1);
}

static inline enum sh_kind sh_key_kind(u64 key)
{
	return (enum sh_kind)(key & 3);
}

static inline unsigned sh_key_level(u64 key)
{
	return (key >> SH_KEY_LEVEL_SHIFT & 3) + 1;
}

static inline unsigned sh_key_quad(u64 key)
{
	return key >> SH_KEY_QUAD_SHIFT & 3;
}

/* --- tables ---------------------------------------------------------------------------------- */

enum sh_state {
	SH_FREE,
	SH_SYNCED, /* nobody writes the guest's table without our hearing of it */
	SH_OOS,	   /* the guest may have changed it since the last flush */
};

struct sh_page {
	u64 key;
	u64 *spt;
	void *src;
	const u8 *guest;      /* the guest's table, from the part shadowed here on; NULL: direct */
	u64 pinned, compared; /* the last operation that needed, that compared it */
	u64 epoch;	      /* of @tried */
	u32 tried;	      /* a bit for each 16 entries prefetched since the guest flushed */
	u64 far;	      /* value of @ways at which the running root could not reach it */
	u64 reached;	      /* value of @loads when some root could last */
	u32 hash_next;
	u32 parents; /* chain of entries that link it */
	u32 oos_prev, oos_next;
	u64 present[SH_ENTRIES / 64]; /* a bit per entry */
	u16 live;		      /* entries present */
	u16 gone;    /* of these, taken out by the guest before it was compared last */
	u16 written; /* the entry that the guest wrote last while it was synced */
	u8 state;    /* enum sh_state */
	/* By the guest while synced: writes, of them the last ones that made an entry absent, and
	 * all of those. */
	u8 writes, cleared, removed;
	u8 clean, patience; /* out of sync: compared without a difference; how often until synced */
	u8 roots;	    /* roots it is at the top of */
	u8 tags;	    /* a bit for each tag that those roots own */
	u8 kind, level;	    /* as in its key */
	bool plain;	    /* last level, entries of 8 bytes, made with CR0.WP set */
	bool used;	    /* since the clock passed */
	bool in_ram;	    /* the guest's table is */
	bool shared;	    /* walked by address spaces that do not run on shadow tables */
};

struct sh_node {
	u32 ref, next;
};

/* Chain heads: nothing, one reference, or the first node of a list. A guest frame's head carries
 * two flags. */
#define SH_CHAIN_LIST BIT(31)
#define SH_FRAME_SYNC BIT(30) /* holds a synced table: not to be mapped writable */
#define SH_FRAME_HELD BIT(29) /* holds a table, in whatever state */
#define SH_CHAIN_MASK ((u32)BIT(29) - 1)

struct sh_list {
	u32 head, tail;
};

struct sh_root {
	u64 role;     /* key bits: kind, SH_KEY_WP0 */
	gpa_t top[4]; /* guest tables at its top, bit 0: present */
	u32 page[4];
	u64 *pdpt; /* its four entries, in low memory */
	hpa_t table;
	u64 used, before; /* the last two times it was loaded */
	u8 tag;		  /* its own, or SHADOW_TAG_SHARED */
	bool valid;
};

struct sh_mode {
	u64 cr0, cr3, cr4, efer;
	u64 pdpte[4];
	enum sh_kind kind; /* SH_DIRECT: paging is off */
	u64 role;	   /* SH_KEY_WP0 or 0 */
	u8 maxphyaddr;
	bool has_1g, pml4_g_rsvd;
};

/* What the meaning of the guest's entries depends on, beside the key of a table: enum sh_kind and
 * these. All tables in the pool were made for one such format. */
#define SH_FORMAT_PSE  BIT(8)
#define SH_FORMAT_NXE  BIT(9)
#define SH_FORMAT_SMEP BIT(10)
#define SH_FORMAT_SMAP BIT(11) /* these two: with CR0.WP = 0, what a supervisor's leaf may be */
#define SH_FORMAT_PKE  BIT(12)

/* How the last fault's address is reached: the guest's links down to a last-level table, as our
 * tables have them. Good for 2 MiB around it as long as @edits is the same and the guest's memory
 * says the same; PAE's one link stands there three times. */
#define SH_WAY_LINKS 3u
struct sh_way {
	u64 region, edits;
	const volatile u64 *slot[SH_WAY_LINKS];
	u64 e[SH_WAY_LINKS];
	u64 all, any; /* AND and OR of @e */
	struct sh_page *leaf;
};

struct shadow {
	struct shadow_config c;
	struct p2m *m;
	struct sh_mode mode;
	u64 rsvd[5][2]; /* by level and PS: bits that must be zero */
	u64 trap;	/* an entry that faults and is heard of */
	u64 absent;	/* one whose fault is the guest's own affair, if there is such a thing */
	u64 op;		/* number of the call we are in */
	u64 epoch;	/* counts flushes of the guest's */
	bool active;
	bool kept; /* synced tables are in step although not active: see shadow_freeze() */
	void (*guard)(void *ctx, gpa_t gpa, bool on);
	void *guard_ctx;
	u32 shared; /* tables that are */

	struct sh_page *page; /* [1..npages] */
	u32 npages, used, free, hand;
	hpa_t spt_base, src_base, low_base;
	u32 *hash;
	u32 hash_shift;

	u32 *frame; /* chain heads per guest frame */
	u64 nframes;
	u32 *chunk_map, *gib_map;   /* writable leaves of 2 MiB, of 1 GiB */
	u32 *chunk_sync, *gib_sync; /* synced tables in them */
	u8 *gib_whole;		    /* one piece of host memory */
	struct sh_node *node;
	u32 nnodes, node_free, nodes_left;

	struct sh_list oos[2]; /* tables out of sync: last-level ones, those of links */
	u32 oos_count;
	u64 ways;  /* counts changes of links and of the running root */
	u64 edits; /* the same, and changes of any other entry of a table of links */
	struct sh_way way;

	struct sh_root root[SH_ROOTS];
	struct sh_root *current;
	struct sh_root *tag_owner[SHADOW_TAGS];
	unsigned tag;
	u64 loads;
	u32 stale;	/* tags under which the CPU may know more than the tables say */
	bool flush_now; /* the current one has to go before the guest runs */
	u64 changes;	/* of entries */
	gva_t last_gva; /* of the last fault for which there was nothing to change */
	u64 last_op;
	u64 format; /* enum sh_kind and SH_FORMAT_*, of the last paged mode */

	u64 arena_pages;
	struct shadow_stats stats;
};

/* --- guest walk (sh_walk.c) ------------------------------------------------------------------ */

struct sh_step {
	void *slot; /* the entry; not to be written unless @ram */
	u64 e;
	unsigned index;
	bool ram;
};

struct sh_walk {
	struct sh_step step[4];
	unsigned n;
	u64 all, any; /* AND and OR of the entries */
	gpa_t gpa;
	u32 error;
	struct sh_page *leaf; /* found by sh_walk_known(): the last step's table */
};

enum sh_walked { SH_WALK_OK, SH_WALK_FAULT, SH_WALK_RACE };

/* Has PAE's top entry @e a bit that must be zero? (walk.c has the reason for bit 5.) */
static inline bool sh_pdpte_reserved(u64 e, unsigned maxphyaddr)
{
	return e & (0xfff00000000001c6ull | (PTE_ADDR & ~0ull << maxphyaddr));
}

/* Translate @gva for @access (walk.h) and set accessed and dirty bits. */
enum sh_walked sh_walk(struct shadow *s, const struct walk_regs *g, gva_t gva, u32 access,
		       struct sh_walk *w);
/* Is @s->way the way to @gva? */
static inline bool sh_same_way(const struct shadow *s, gva_t gva)
{
	const struct sh_way *y = &s->way;

	return y->region == gva >> SH_LEVEL_SHIFT(2) && y->edits == s->edits &&
	       !((*y->slot[0] ^ y->e[0]) | (*y->slot[1] ^ y->e[1]) | (*y->slot[2] ^ y->e[2]));
}
/* The same for a guest with 8-byte entries when all links on the way are in our tables, and as the
 * guest has them: then there is but one step in @w. False: no verdict. */
bool sh_walk_known(struct shadow *s, const struct walk_regs *g, gva_t gva, u32 access,
		   struct sh_walk *w, enum sh_walked *verdict);
/* The guest's memory at @gpa for reading; all ones where there is none. To the end of the page. */
const u8 *sh_guest_read(const struct shadow *s, gpa_t gpa);
bool sh_is_large(const struct shadow *s, enum sh_kind kind, unsigned level, u64 e);
/* First address that the leaf @e maps. */
gpa_t sh_leaf_gpa(const struct shadow *s, enum sh_kind kind, unsigned level, u64 e);

/* --- pool (sh_pool.c) ------------------------------------------------------------------------ */

struct sh_page *sh_find(const struct shadow *s, u64 key);
/* Next table made from the guest table at @gpa, after @p (NULL: the first). */
struct sh_page *sh_next_of(const struct shadow *s, gpa_t gpa, const struct sh_page *p);
/* The table of that key, made if there is none; all entries of a new one trap. NULL: every page is
 * in use by this very operation. */
struct sh_page *sh_get(struct shadow *s, u64 key);
void sh_free(struct shadow *s, struct sh_page *p);
/* Give up tables until @nodes are to be had. */
void sh_reserve_more(struct shadow *s, u32 nodes);
static inline void sh_reserve(struct shadow *s, u32 nodes)
{
	if (__builtin_expect(s->nodes_left < nodes, 0))
		sh_reserve_more(s, nodes);
}
void sh_drop_all(struct shadow *s);
/* Drop every table made from the guest table at @gpa. */
void sh_unshadow(struct shadow *s, gpa_t gpa);

static inline u32 sh_number(const struct shadow *s, const struct sh_page *p)
{
	return (u32)(p - s->page);
}

static inline hpa_t sh_hpa(const struct shadow *s, const struct sh_page *p)
{
	return s->spt_base + (hpa_t)(sh_number(s, p) - 1) * PAGE_SIZE;
}

/* --- reverse references (sh_rmap.c) ---------------------------------------------------------- */

/* False: no node to be had. */
bool sh_chain_extend(struct shadow *s, u32 *head, u32 ref);
static inline bool sh_chain_add(struct shadow *s, u32 *head, u32 ref)
{
	if (*head & SH_CHAIN_MASK)
		return sh_chain_extend(s, head, ref);
	*head |= ref;
	return true;
}
void sh_chain_remove(struct shadow *s, u32 *head, u32 ref);
/* Some reference of the chain, 0: none. */
u32 sh_chain_first(const struct shadow *s, u32 head);
static inline bool sh_chain_single(u32 head)
{
	return !(head & SH_CHAIN_LIST);
}
/* The head of guest frame @gpa; NULL where there is no RAM. */
static inline u32 *sh_frame(const struct shadow *s, gpa_t gpa)
{
	return gpa >> PAGE_SHIFT < s->nframes ? &s->frame[gpa >> PAGE_SHIFT] : NULL;
}
/* Take away all writable mappings of the frame. */
void sh_write_protect(struct shadow *s, gpa_t gpa);
/* May [@gpa, + 2 MiB or 1 GiB) be one leaf? */
bool sh_large_ok(const struct shadow *s, gpa_t gpa, unsigned level, bool writable);

/* What lies at @gpa, and where. Most memory is plain RAM above the first chunk, where nothing is
 * special. */
static inline enum p2m_kind sh_lookup(const struct shadow *s, gpa_t gpa, hpa_t *hpa)
{
	const struct p2m *m = s->m;
	u64 chunk = gpa >> P2M_CHUNK_SHIFT;

	if (!chunk || chunk >= m->nchunks || !m->chunk[chunk])
		return p2m_lookup(m, gpa, hpa);
	*hpa = m->chunk[chunk] + (gpa & (P2M_CHUNK - 1));
	return P2M_RAM;
}

/* --- entries (sh_entry.c) -------------------------------------------------------------------- */

static inline bool sh_present(const struct shadow *s, u64 e)
{
	return (e & PTE_P) && e != s->trap;
}

static inline bool sh_is_link(const struct shadow *s, const struct sh_page *p, u64 e)
{
	return sh_present(s, e) && p->level > 1 && !(e & PTE_PS);
}

static inline struct sh_page *sh_target(const struct shadow *s, u64 e)
{
	return &s->page[(((e & PTE_ADDR) - s->spt_base) >> PAGE_SHIFT) + 1];
}

/* A 32-bit directory's entry is two of ours. */
static inline bool sh_pairs(const struct sh_page *p)
{
	return p->kind == SH_32 && p->level == 2;
}

/* Number of guest entries, their size in bytes. */
static inline unsigned sh_sources(const struct sh_page *p)
{
	return sh_pairs(p) ? SH_ENTRIES / 2 : SH_ENTRIES;
}

static inline unsigned sh_source_size(const struct sh_page *p)
{
	return p->kind == SH_32 ? 4 : 8;
}

static inline u64 sh_src(const struct sh_page *p, unsigned gi)
{
	return p->kind == SH_32 ? ((const u32 *)p->src)[gi] : ((const u64 *)p->src)[gi];
}

static inline u64 sh_guest(const struct sh_page *p, unsigned gi)
{
	return p->kind == SH_32 ? ((const volatile u32 *)p->guest)[gi]
				: ((const volatile u64 *)p->guest)[gi];
}

/* What the guest entry @e comes to as entry @idx of @p, with the tables that there are. */
u64 sh_derive(struct shadow *s, struct sh_page *p, unsigned idx, u64 e);
/* The same for an entry that is made from nothing of the guest's. */
u64 sh_direct_source(const struct sh_page *p);
/* Rights of a link or leaf for the guest entry @e. */
u64 sh_rights(const struct sh_page *p, u64 e, bool leaf);
/* Key of the table that entry @idx with the guest's value @e points to. */
u64 sh_child_key(const struct sh_page *p, unsigned idx, u64 e);
/* Key of the direct table for the large leaf @e at @idx. */
u64 sh_direct_key(const struct shadow *s, const struct sh_page *p, unsigned idx, u64 e);
/* Guest-physical address that entry @idx, a leaf, maps. */
gpa_t sh_entry_gpa(const struct shadow *s, const struct sh_page *p, unsigned idx);
/* Replace an entry made from the same guest entry. */
void sh_put(struct shadow *s, struct sh_page *p, unsigned idx, u64 new);
/* Entry @idx of @p, a plain table, is made from the guest's @e. False, and nothing has changed:
 * there is one already, or it does not come to a leaf, that can be written if @write says so. */
bool sh_fill_empty(struct shadow *s, struct sh_page *p, unsigned idx, u64 e, bool write);
/* Fill every empty entry of @p whose guest entry has been used and that needs no new table. */
void sh_link_known(struct shadow *s, struct sh_page *p);
/* The guest's entry @gi is @e now. */
void sh_take(struct shadow *s, struct sh_page *p, unsigned gi, u64 e);

/* --- state of tables (sh_sync.c) ------------------------------------------------------------- */

/* Choose the state of the new table @p. */
void sh_settle_new(struct shadow *s, struct sh_page *p);
/* And again for @p, in use before, that comes to be linked anew: its frame has had another use
 * meanwhile if it is all but empty. */
void sh_settle_again(struct shadow *s, struct sh_page *p);
/* The table leaves the pool. */
void sh_forget_state(struct shadow *s, struct sh_page *p);
/* Compare with the guest's what entries of @p stand for, take over what differs. True: something
 * did. What is empty is not looked at: it will fault. Once per operation. */
bool sh_compare(struct shadow *s, struct sh_page *p);
/* Compare all of it. */
void sh_compare_all(struct shadow *s, struct sh_page *p);
/* The guest may write the table at @gpa unheard of; it may not any more. */
void sh_go_out_of_sync(struct shadow *s, gpa_t gpa);
void sh_go_synced(struct shadow *s, gpa_t gpa);
/* A link to @top is being made: compare it and what lies below it. */
void sh_sync_below(struct shadow *s, struct sh_page *top);
/* Compare what the root @r can reach and is out of sync; perhaps only tables of links. What nothing
 * links any more is freed. */
void sh_sync_root(struct shadow *s, const struct sh_root *r, bool links_only);

/* --- roots and tags (sh_root.c) -------------------------------------------------------------- */

void sh_load_root(struct shadow *s);
void sh_drop_roots(struct shadow *s, struct sh_page *p); /* all: NULL */
bool sh_in_current(const struct shadow *s, const struct sh_page *p);
/* Translations through @p lost rights: the tags concerned are stale. @now: before the guest runs
 * again under them, as it is not the guest's own doing. */
void sh_lost(struct shadow *s, struct sh_page *p, bool now);
/* Can @p be reached from other roots than @r only? */
bool sh_out_of_reach(const struct shadow *s, const struct sh_page *p, const struct sh_root *r);
/* Free @p if nothing links it, and what only it linked. */
void sh_drop_orphan(struct shadow *s, struct sh_page *p);
/* The current tag is flushed before the guest runs. */
void sh_flush_now(struct shadow *s);
/* Every public function begins and ends with these. */
static inline void sh_begin(struct shadow *s)
{
	s->op++;
}

static inline void sh_commit(struct shadow *s)
{
	if (!s->active)
		return;
	if (!s->current)
		sh_load_root(s);
	if (s->flush_now)
		sh_flush_now(s);
}
void sh_set_mode(struct shadow *s, const struct walk_regs *g);
/* Make the running root's tables ahead of use (sh_switch.c). */
void sh_build_current(struct shadow *s);
/* PAE: copy the top level as the CPU would load it. */
void sh_sample_pdptes(struct shadow *s, const struct walk_regs *g);
/* The guest has emptied its TLB. */
void sh_guest_flushed(struct shadow *s);

/* --- writes to synced tables (sh_write.c) ---------------------------------------------------- */

/* The guest is about to write the synced table at @gpa: true when that is worth emulating, false
 * when the frame may be written now. */
bool sh_table_write(struct shadow *s, gpa_t gpa);
/* [@gpa, @gpa + @len), within a synced table, was written. */
void sh_table_written(struct shadow *s, gpa_t gpa, u64 len);

/* --- timing (sh_stats.c) --------------------------------------------------------------------- */

static inline u64 sh_now(const struct shadow *s)
{
	return s->c.now ? s->c.now() : 0;
}
static inline void sh_account(struct shadow *s, enum shadow_path path, u64 since)
{
	struct shadow_timing *t = &s->stats.path[path];
	u64 took = sh_now(s) - since;
	unsigned __int128 square = (unsigned __int128)took * took;

	if (__builtin_expect(took < t->min || !t->count, 0))
		t->min = took;
	if (__builtin_expect(took > t->max, 0))
		t->max = took;
	t->count++;
	t->sum += took;
	square += ((unsigned __int128)t->square_hi << 64) | t->square_lo;
	t->square_lo = (u64)square;
	t->square_hi = (u64)(square >> 64);
}

#endif
