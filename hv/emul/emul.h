/* Emulation of one guest instruction on behalf of a vCPU that could not run it natively: MMIO,
 * string port I/O, and whatever touches memory the engine trapped. Zydis decodes, this executes.
 *
 * The emulator is pure: all guest state and memory goes through struct emul and its ops, so it
 * compiles on the host for tests and fuzzers. Memory is reached by linear address; the ops
 * translate, classify RAM/MMIO and report faults.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_EMUL_EMUL_H
#define HV_EMUL_EMUL_H

#include "lib/x86.h"
#include "penumbra/types.h"

enum emul_access { EMUL_READ, EMUL_WRITE, EMUL_RMW_READ, EMUL_FETCH };

/* An exception the guest must take. */
struct emul_fault {
	u8 vector;
	bool has_error;
	u32 error;
	u64 cr2; /* for #PF */
};

struct emul;
struct emul_ops {
	/* Read/write @len (1..64) bytes at linear @gva. The emulator never passes a range that it
	 * has not bounds-checked against the segment; the op handles page crossings and does
	 * permission checks on all pages before it moves any byte (RMW_READ checks for write).
	 * 0, or -EFAULT with @f filled, or -EIO: cannot be done (stop the guest). */
	int (*read)(struct emul *e, gva_t gva, void *buf, unsigned len, enum emul_access a,
		    struct emul_fault *f);
	int (*write)(struct emul *e, gva_t gva, const void *buf, unsigned len,
		     struct emul_fault *f);
	/* Atomically compare-and-swap @len (1,2,4,8,16) bytes. 0 done, 1 *old mismatched and was
	 * updated, or an error as above. Used for LOCKed operations. */
	int (*cmpxchg)(struct emul *e, gva_t gva, void *old, const void *new_val, unsigned len,
		       struct emul_fault *f);
	/* Port I/O; permission (CPL/IOPL/bitmap) was already checked by the CPU on this path. */
	u32 (*io_read)(struct emul *e, u16 port, unsigned size);
	void (*io_write)(struct emul *e, u16 port, unsigned size, u32 value);
	/* Optional bulk port I/O, up to @count items; returns items moved, 0 = use
	 * io_read/io_write. */
	unsigned (*io_read_rep)(struct emul *e, u16 port, unsigned size, void *buf, unsigned count);
	unsigned (*io_write_rep)(struct emul *e, u16 port, unsigned size, const void *buf,
				 unsigned count);
	/* SSE/AVX registers of the guest, live in the CPU or in a save area. @len 16 or 32. */
	void (*vec_read)(struct emul *e, unsigned reg, void *buf, unsigned len);
	void (*vec_write)(struct emul *e, unsigned reg, const void *buf, unsigned len);
};

struct emul {
	const struct emul_ops *ops;
	void *ctx; /* the owner's */
	/* Guest state in and out; changed only when emul_step() returns EMUL_DONE or
	 * EMUL_AGAIN (a REP that stopped on an iteration boundary). */
	u64 gpr[GPR_COUNT];
	u64 rip;
	u64 rflags;
	struct segment seg[6];
	u64 cr0, cr4, efer;
	u8 cpl;
	/* Out: */
	struct emul_fault fault;
	u8 insn[15]; /* what was fetched, for dumps */
	u8 insn_len;
	const char *why; /* on EMUL_UNHANDLED: a short reason */
	/* While an op runs: item size of the string instruction at work, else 0. Its accesses may
	 * carry several items at once; a device sees them one by one. */
	u8 item;
};

enum emul_result {
	EMUL_DONE,  /* retired: rip advanced */
	EMUL_AGAIN, /* REP not finished (iteration cap): rip unchanged, run or step again */
	EMUL_FAULT, /* inject e->fault; registers as at the start of the (iteration of the) insn */
	EMUL_UNHANDLED, /* not an instruction this emulator executes; e->why says */
};

/* REP iterations done per call at most. */
#define EMUL_REP_MAX 4096

/* Fetch, decode and execute the instruction at e->rip. Single-steps TF are the caller's job. */
enum emul_result emul_step(struct emul *e);

/* Prepare the decoder tables; once at boot. */
int emul_init(void);

#endif
