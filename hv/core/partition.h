/* A partition: one machine with its memory, board, vCPU, media and place on the serial line.
 *
 * Built on the boot CPU, run by the CPU its vCPU is pinned to. What other CPUs want of it (input
 * bytes, requests) goes through @requests, @input and sched_kick().
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_PARTITION_H
#define HV_CORE_PARTITION_H

#include "core/config.h"
#include "core/control_board.h"
#include "core/cpuid.h"
#include "core/estimate.h"
#include "core/estimate_look.h"
#include "core/msr.h"
#include "core/own_time.h"
#include "core/partition_adaptive.h"
#include "core/partition_spaces.h"
#include "dev/pc.h"
#include "engine/engine.h"
#include "mem/p2m.h"
#include "paging/adaptive/pmu.h"
#include "paging/nested/nested_map.h"
#include "paging/shadow/shadow_ops.h"

#define PARTITION_MAX_GUESTS 5 /* what the serial multiplexer can tell apart */
#define PARTITION_INPUT_SIZE 256

enum partition_state {
	PARTITION_BUILT,
	PARTITION_RUNNING,
	PARTITION_PAUSED,
	PARTITION_ENDED,
	PARTITION_WAITING, /* for a medium of the control partition's (core/media.h) */
	PARTITION_SPARE,   /* taken down: its memory is free, its vCPU waits for another guest */
};

enum partition_status { STATUS_NONE, STATUS_PASS, STATUS_FAIL, STATUS_TIMEOUT };

/* Bits of partition.requests. */
#define REQUEST_START	BIT(0)
#define REQUEST_PAUSE	BIT(1) /* toggles */
#define REQUEST_SCREEN	BIT(2)
#define REQUEST_STATS	BIT(3)
#define REQUEST_AUDIT	BIT(4)
#define REQUEST_ENGINE	BIT(5) /* another engine table (a trace) */
#define REQUEST_END	BIT(6) /* the machine ends */
#define REQUEST_CHANNEL BIT(7) /* the channel has something for it */
/* What pnctl asks; each is nothing where it does not apply. */
#define REQUEST_AGAIN	BIT(8) /* start, also after its end */
#define REQUEST_BUTTON	BIT(9) /* the power button */
#define REQUEST_KILL	BIT(10)
#define REQUEST_RESET	BIT(11)
#define REQUEST_HOLD	BIT(12) /* pause */
#define REQUEST_RESUME	BIT(13)
#define REQUEST_DESTROY BIT(14)
#define REQUEST_INTX	BIT(16) /* the channel's interrupt changed */
/* The paging mode from now on. */
#define REQUEST_NESTED	 BIT(17)
#define REQUEST_SHADOW	 BIT(18)
#define REQUEST_TOGGLE	 BIT(19) /* the other one */
#define REQUEST_ADAPTIVE BIT(20) /* the policy's choice */
#define REQUEST_BY_KEY	 BIT(21) /* who asked, for the record */

struct blk_chan;
struct net_chan;

struct exit_stats {
	u64 count[EXIT_REASONS];
	u64 cycles[EXIT_REASONS];
	/* Of EXIT_EXCEPTION and EXIT_CR those that shadow paging is not the cause of, as far as
	 * they are not rare: a device's memory, CR8. */
	u64 other_count, other_cycles;
};

/* Watches a stream for lines that begin with "not ok" or "FAIL:". */
struct line_watch {
	u8 at;	   /* characters of the line seen so far, saturating */
	u8 not_ok; /* prefix lengths matched */
	u8 fail;
};

struct partition;
/* Where guests and the control partition differ. All on the partition's own CPU. */
struct partition_ops {
	/* Handle what @requests and the machine's events ask for. */
	void (*service)(struct partition *p);
	void (*triple_fault)(struct partition *p);
	/* Optional: its CPU is about to be given away; perhaps it has halted. */
	void (*cpu_leaves)(struct partition *p);
	/* A chip of its board asks for the machine's end or restart (dev.h). */
	void (*machine_event)(struct partition *p, enum machine_event ev, u32 value);
	/* A typed byte. False: no room, offer it again later. */
	bool (*type)(struct partition *p, u8 byte);
};

struct partition {
	const struct partition_ops *ops;
	struct guest_config cfg;
	unsigned
		index; /* 1.., the control partition 0: its number for Ctrl-] and partition lists */
	enum partition_state state;
	struct p2m p2m;
	struct nested_map nested;
	struct shadow_paging shadow; /* of use where vcpu.shadow points here */
	struct vcpu vcpu;
	struct exit_stats exits; /* beside the vCPU: every exit touches both */
	/* What stopped it, to be acted on before the next entry. */
	volatile u32 requests;
	/* Its chips: what the vCPU meets, and the whole board, which begins with it. */
	union {
		struct board board;
		struct pc pc;
		struct control_board ctl;
	};
	struct uart *uart; /* its COM1, or NULL */
	struct dev_host host;
	struct cpuid_policy cpuid;
	struct cpuid_dynamic cpuid_dynamic; /* kept up to date by who asks */
	struct guest_msrs msrs;
	struct blk_ram media[3];    /* cdrom, disk, floppy: images loaded at boot */
	struct blk_chan *served[3]; /* the same from the control partition, or NULL */
	struct net_chan *nic;	    /* its port, or NULL */
	struct timer media_limit;
	bool media_late;
	unsigned media_errors;
	u64 tsc_offset;
	u8 phys_bits;
	u32 tsc_khz;

	const char *reset_wanted; /* the cause, or NULL */
	bool end_wanted;
	bool destroy_wanted;
	bool no_restart; /* whoever asked for its end does not want it back */
	bool posted;	 /* the BIOS has begun since the last reset */
	bool held;	 /* stands still until the serial line has room for what it makes us say */
	enum partition_status status;
	const char *end_event; /* exit, crash, timeout */
	char end_detail[192];

	/* Serial line */
	int src_serial, src_vga; /* records about it and its BIOS's log count as src_vga's */
	char bios_line[128];	 /* of its BIOS's log, not ended yet */
	unsigned bios_len;
	struct line_watch watch_serial, watch_vga;
	bool said_not_ok;
	u8 input[PARTITION_INPUT_SIZE];
	volatile u32 input_head, input_tail;
	struct timer input_retry;

	/* Life and limits */
	u64 started_ns, ended_ns;
	u64 resets, triple_faults, last_triple_ns;
	unsigned triple_run; /* triple faults in close succession */
	struct timer timeout, screen, stats_timer;
	enum vcpu_state paused_state;

	struct own_time own;

	/* Paging modes (partition_paging.h) */
	u64 mode_ns[PAGING_KINDS], mode_since_ns;
	u64 switches;
	u64 paging_tell_ns; /* limits records */
	struct adaptive adaptive;
	struct estimate estimate;
	struct looks looks;
	struct pmu_meter pmu;
	struct partition_spaces spaces;

	u64 emulated;	/* instructions */
	u64 lost_insns; /* exits whose instruction was gone when looked for */
};

extern struct partition *partitions[PARTITION_MAX_GUESTS]; /* the guests */
extern unsigned npartitions;
extern const struct partition_ops guest_ops;

/* Build every guest of @c that is to start; errors become records. Boot CPU, before the CPUs run.
 */
void partitions_create(const struct config *c);
/* Build one at run time (start = yes or not), on CPU 0. 0, or negative after an error record. */
int partition_create(const struct guest_config *g);
/* @p has state PARTITION_SPARE: it is no guest any more. CPU 0. */
void partition_forget(struct partition *p);
/* Ask built guests to start, each on its CPU: those beside the control partition on one CPU, or the
 * others (all where there is none). */
void partitions_start(bool beside_control);
/* Connect @p->host, the services its chips get. */
void partition_host_init(struct partition *p);
/* Fill in @p->msrs (partition_msr.c). */
void partition_msr_init(struct partition *p);
/* Give the typed bytes that wait to @p->ops->type, as many as it takes. */
void partition_take_input(struct partition *p);
/* Any partition's memory for its record, zeroed but for @ops and @index. NULL: none left. */
struct partition *partition_new(const struct partition_ops *ops, unsigned index);
/* Any partition's CPUID policy, vCPU without memory and sources of lines on the serial line. */
void partition_build_cpuid(struct partition *p);
int partition_build_vcpu(struct partition *p);
/* Let the CPU handle what it can of the local APIC by itself. vCPU and board are there. */
void partition_serve_apic(struct partition *p);
/* End the guest: @event for the record, @status for the result. Takes effect before the next entry.
 */
void partition_end(struct partition *p, enum partition_status status, const char *event,
		   const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* REQUEST_ENGINE: take over hv_engine(). On its own CPU. */
void partition_change_engine(struct partition *p);
/* Let a held @p go on if the serial line has room for it again. On its own CPU. */
void partition_let_go(struct partition *p);
/* A byte typed for it; from any CPU under the log lock. False when its buffer is full. */
bool partition_input(struct partition *p, u8 byte);
/* From any CPU. */
void partition_request(struct partition *p, u32 request);

#endif
