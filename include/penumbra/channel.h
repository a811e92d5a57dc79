/* The control channel: what the hypervisor and the control partition's daemon say to each other.
 *
 * One PCI function whose BAR 0 holds registers, and an area of 2 MiB pages in the daemon's locked
 * memory that holds rings and data buffers. The control partition's memory is mapped one to one, so
 * a page's address in it is its host-physical address.
 *
 * Everything in the area may change at any moment: each side copies an entry before it looks at it,
 * keeps its own index and treats the other's as a claim to be checked. Neither side waits for the
 * other. A lost doorbell or interrupt costs time, never progress.
 *
 * All fields are little-endian; "area offset" counts bytes from the first page, pages lie in the
 * order in which they were given.
 *
 * The function reads and writes the area only while its COMMAND register has bus mastering on:
 * ATTACH wants that, and whoever clears it (Linux does when the daemon's UIO file is closed, also
 * by its death) detaches. Which pages a daemon that died had is known to the hypervisor until then,
 * so they must not become anybody else's memory before: a file on hugetlbfs keeps them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PENUMBRA_CHANNEL_H
#define PENUMBRA_CHANNEL_H

#include "penumbra/types.h"

#define CHAN_PCI_VENDOR 0x5042u
#define CHAN_PCI_DEVICE 0x0001u
#define CHAN_BAR_SIZE	0x1000u
#define CHAN_ABI	1u

/* --- registers: 32 bits each, in BAR 0 --- */

#define CHAN_REG_MAGIC	0x00u /* CHAN_MAGIC */
#define CHAN_REG_ABI	0x04u /* CHAN_ABI */
#define CHAN_REG_STATE	0x08u /* CHAN_STATE_* */
#define CHAN_REG_ARG_LO 0x10u
#define CHAN_REG_ARG_HI 0x14u
#define CHAN_REG_CMD	0x18u /* write: enum chan_cmd, carried out at once */
#define CHAN_REG_ERROR	0x1cu /* of the last command: 0 or one of Linux's errno values, positive */
#define CHAN_REG_BELL	0x20u /* write: bit per ring that has something new for the hypervisor */
#define CHAN_REG_ISR	0x24u /* bit per ring with something new for the daemon; write 1 clears */
#define CHAN_REG_ENABLE 0x28u /* INTx is asserted while ISR & ENABLE */

#define CHAN_MAGIC 0x43424e50u /* "PNBC" */

#define CHAN_STATE_ATTACHED 0x1u
#define CHAN_STATE_READY    0x2u

enum chan_cmd {
	/* Forget the area. Requests in flight are kept and sent again after the next ATTACH. */
	CHAN_CMD_DETACH = 1,
	CHAN_CMD_PAGE = 2, /* ARG: address of the area's next 2 MiB page */
	/* All pages given, struct chan_area filled in. An error forgets the pages. */
	CHAN_CMD_ATTACH = 3,
	CHAN_CMD_READY =
		4, /* the control partition is up: guests may compete with it from now on */
};

/* --- the area --- */

#define CHAN_PAGE_SIZE	0x200000u
#define CHAN_MAX_PAGES	16u
#define CHAN_AREA_MAGIC 0x41424e50u /* "PNBA" */

enum chan_ring_id {
	CHAN_CTL_REQ,	/* daemon -> hypervisor: struct chan_ctl_req */
	CHAN_CTL_REPLY, /* hypervisor -> daemon: struct chan_ctl_reply */
	CHAN_CON_OUT,	/* hypervisor -> daemon: struct chan_con */
	CHAN_CON_IN,	/* daemon -> hypervisor: struct chan_con */
	CHAN_BLK_REQ,	/* hypervisor -> daemon: struct chan_blk_req */
	CHAN_BLK_DONE,	/* daemon -> hypervisor: struct chan_blk_done */
	CHAN_NET_OUT,	/* hypervisor -> daemon: struct chan_net */
	CHAN_NET_IN,	/* daemon -> hypervisor: struct chan_net */
	CHAN_TRACE,	/* hypervisor -> daemon: struct trace_entry of trace.h */
	CHAN_RINGS
};

struct chan_ring_place {
	u32 offset; /* area offset of struct chan_ring, multiple of 64; in one page with its entries
		     */
	u32 entry_size; /* must be the ring's entry size in CHAN_ABI */
	u32 entries;	/* power of two, CHAN_RING_MIN..CHAN_RING_MAX */
	u32 reserved;
};
#define CHAN_RING_MIN 4u
#define CHAN_RING_MAX 16384u

/* At area offset 0. Read once, at ATTACH. The daemon has zeroed every struct chan_ring before. */
struct chan_area {
	u32 magic;
	u32 abi;
	u32 npages;
	u32 nrings; /* CHAN_RINGS */
	struct chan_ring_place ring[CHAN_RINGS];
	/* Buffers that the hypervisor gives out: for data of block requests and for text. */
	u32 pool_offset; /* multiple of 4096; a slot never crosses a page of the area */
	u32 pool_slots;	 /* at most CHAN_POOL_MAX */
	u32 reserved[2];
};
#define CHAN_POOL_MAX  128u
#define CHAN_SLOT_SIZE 0x20000u /* 128 KiB */

/* Single producer, single consumer. Indices run freely; entry i is at i % entries. The producer
 * writes the entry, then @head (release); the consumer reads @head (acquire), the entry, then
 * writes
 * @tail (release). head - tail > entries is the other side's fault: the ring is then dead until the
 * next ATTACH, and that is said. */
struct chan_ring {
	u32 head;
	u32 pad0[15];
	u32 tail;
	/* Consumer: nonzero before it sleeps (then it looks at @head once more, full barrier
	 * between). The producer rings only when it finds it nonzero after writing @head (full
	 * barrier). */
	u32 wants_bell;
	/* Producer: nonzero when it waits for room; the consumer then rings after moving @tail. */
	u32 wants_room;
	u32 pad1[13];
	/* entries follow, 64-byte aligned */
};

#define CHAN_NAME_SIZE 24u /* of a guest, with NUL */

/* --- control: what pnctl asks --- */

enum chan_ctl_op {
	CHAN_CTL_LIST =
		1, /* one ROW (struct chan_ctl_guest) per partition, the control partition first */
	CHAN_CTL_START, /* a guest that is built or has ended */
	CHAN_CTL_STOP,	/* ends it; arg 0: by the ACPI power button first, 1: at once */
	CHAN_CTL_RESET,
	CHAN_CTL_PAUSE,
	CHAN_CTL_RESUME,
	CHAN_CTL_DESTROY,      /* ends it and gives back its memory */
	CHAN_CTL_STATS,	       /* ROWs of struct chan_ctl_count */
	CHAN_CTL_PAGING,       /* arg: enum chan_paging */
	CHAN_CTL_CONFIG_CHECK, /* data: text of a config file; ROWs of TEXT, one per error */
	CHAN_CTL_CONFIG_LOAD,  /* the same, then new guests are built (started if start = yes) */
	CHAN_CTL_TRACE,	       /* arg: 0 off, 1 exits, 2 all */
	CHAN_CTL_SCREEN,       /* TEXT rows: the guest's text screen */
	CHAN_CTL_RECORDS, /* arg: first seq, arg2: last seq; TEXT rows (a record may take several)
			   */
	CHAN_CTL_INFO,	  /* TEXT rows: version, CPU, memory ledger as the boot record */
	CHAN_CTL_POWER,	  /* arg: 0 power off, 1 reboot: of the whole machine */
	CHAN_CTL_LINE,	  /* arg: ms (0: no longer) for which the control partition has the serial
			     line to itself, byte for byte; at most CHAN_LINE_MS_MAX, again before
			     that is over */
};

#define CHAN_LINE_MS_MAX 60000u

enum chan_paging { CHAN_PAGING_ADAPTIVE, CHAN_PAGING_NESTED, CHAN_PAGING_SHADOW };

struct chan_ctl_req {
	u32 id; /* chosen by the daemon, comes back in each reply */
	u32 op; /* enum chan_ctl_op */
	u64 arg, arg2;
	char name[CHAN_NAME_SIZE]; /* of the guest; empty: none or all */
	u32 data;		   /* area offset of a buffer of the daemon's, or 0 */
	u32 len;		   /* at most CHAN_TEXT_MAX */
	u32 reserved[2];
};
#define CHAN_TEXT_MAX 0x10000u

enum chan_ctl_kind {
	CHAN_REPLY_ROW = 1,  /* a struct chan_ctl_guest or chan_ctl_count in data[] */
	CHAN_REPLY_TEXT = 2, /* a line or, with @more, part of it */
	CHAN_REPLY_END = 3,  /* the last: @status, and why as text in data[] unless 0 */
};

struct chan_ctl_reply {
	u32 id;
	u16 kind;   /* enum chan_ctl_kind */
	u16 len;    /* of data */
	s32 status; /* END: 0, or an errno value, negative */
	u32 more;   /* TEXT: the line goes on in the next reply */
	u8 data[240];
};

struct chan_ctl_guest {
	char name[CHAN_NAME_SIZE];
	u32 index;  /* its number for Ctrl-] and for struct chan_con; 0: the control partition */
	u32 state;  /* enum chan_guest_state */
	u32 status; /* enum chan_guest_status */
	u32 paging; /* enum chan_paging in effect */
	u32 asked;  /* enum chan_paging asked for */
	u32 cpu;    /* physical CPU of its vCPU */
	u64 memory; /* bytes */
	u64 up_us;  /* since its start */
	u64 exits;
	u64 guest_us; /* time its vCPU has run in the guest */
	u64 resets;
	char detail[96]; /* why it ended, or what it waits for */
};

enum chan_guest_state {
	CHAN_GUEST_BUILT,
	CHAN_GUEST_WAITING, /* for a medium that the daemon has to open */
	CHAN_GUEST_RUNNING,
	CHAN_GUEST_PAUSED,
	CHAN_GUEST_ENDED,
};
enum chan_guest_status {
	CHAN_STATUS_NONE,
	CHAN_STATUS_PASS,
	CHAN_STATUS_FAIL,
	CHAN_STATUS_TIMEOUT
};

struct chan_ctl_count {
	char name[40]; /* as in the stats record: "exits.cpuid", "faults", ... */
	u64 count;
	u64 cycles; /* all ones: does not apply */
};

/* --- console --- */

enum chan_con_kind {
	CHAN_CON_SERIAL = 1, /* bytes of a partition's COM1, in either direction */
	CHAN_CON_VGA,	     /* its BIOS's and screen's lines */
	CHAN_CON_HV,	     /* lines of the hypervisor */
	CHAN_CON_RECORD,     /* a record; @more while it goes on */
	CHAN_CON_LOST, /* @len bytes' worth of this partition's output did not fit: data holds a u64
			*/
};

struct chan_con {
	u8 kind;
	u8 index; /* of the partition */
	u8 more;
	u8 len; /* of data */
	u8 data[252];
};

/* --- block --- */

enum chan_blk_op {
	CHAN_BLK_OPEN = 1, /* slot holds struct chan_blk_open */
	CHAN_BLK_CLOSE,
	CHAN_BLK_READ,
	CHAN_BLK_WRITE,
	CHAN_BLK_FLUSH, /* done when everything written before is on the medium */
};
#define CHAN_BLK_FUA   0x1u /* WRITE: done when it is on the medium */
#define CHAN_BLK_AHEAD 0x2u /* READ: no guest has asked yet, an error is nobody's so far */

struct chan_blk_req {
	u32 id; /* chosen by the hypervisor, unique among those in flight */
	u16 op;
	u16 flags;
	u32 medium; /* chosen by the hypervisor at OPEN */
	u32 len;    /* bytes, at most CHAN_SLOT_SIZE */
	u64 offset; /* bytes, multiple of 512 */
	u32 slot;   /* pool slot with the data */
	u32 reserved[9];
};

struct chan_blk_open {
	u32 kind; /* 1 file:, 2 dev: */
	u32 want_readonly;
	u32 block; /* sector size the guest sees: 512 or 2048 */
	u32 reserved;
	char guest[CHAN_NAME_SIZE];
	char path[232];
};

struct chan_blk_done {
	u32 id;
	s32 status; /* 0, or an errno value, negative */
	u64 size;   /* OPEN: bytes */
	u32 flags;  /* OPEN: CHAN_MEDIUM_READONLY */
	/* OPEN that failed: the slot then holds a NUL-terminated text that says why. */
	u32 reserved[3];
};
#define CHAN_MEDIUM_READONLY 0x1u

/* --- network --- */

enum chan_net_kind {
	CHAN_NET_FRAME = 1,
	CHAN_NET_UP,   /* hypervisor: struct chan_net_port in data; sent again after ATTACH */
	CHAN_NET_DOWN, /* hypervisor: the port is gone */
	CHAN_NET_LINK, /* daemon: data[0] is 1 or 0; then a text that says why */
};
#define CHAN_NET_DATA  2040u
#define CHAN_NET_PORTS 16u

struct chan_net {
	u8 kind;
	u8 port; /* chosen by the hypervisor */
	u16 len;
	u32 reserved;
	u8 data[CHAN_NET_DATA];
};

struct chan_net_port {
	char guest[CHAN_NAME_SIZE];
	char backend[40]; /* "switch" or "bridge:IF" */
	u8 mac[6];
	u8 reserved[2];
};

_Static_assert(sizeof(struct chan_ring) == 128, "indices in cache lines of their own");
_Static_assert(sizeof(struct chan_ctl_req) == 64, "ABI");
_Static_assert(sizeof(struct chan_ctl_reply) == 256, "ABI");
_Static_assert(sizeof(struct chan_ctl_guest) <= 240, "fits a reply");
_Static_assert(sizeof(struct chan_con) == 256, "ABI");
_Static_assert(sizeof(struct chan_blk_req) == 64, "ABI");
_Static_assert(sizeof(struct chan_blk_open) <= 4096, "fits a slot");
_Static_assert(sizeof(struct chan_blk_done) == 32, "ABI");
_Static_assert(sizeof(struct chan_net) == 2048, "ABI");

#endif
