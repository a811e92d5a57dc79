/* Hardware task switches, for CPUs that leave them to software: the whole of it, from the
 * descriptor's checks to the first instruction of the new task. Pure: guest memory goes through
 * struct task_ops. 32-bit and 16-bit TSSs, into and out of virtual-8086 mode. SDM vol. 3 ch. 8
 * (task management), §8.3 (the switch), table 8-1 (its checks).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_EMUL_TASK_H
#define HV_EMUL_TASK_H

#include "emul/emul.h"
#include "engine/engine.h"

struct task;

struct task_ops {
	/* Move @len (at most 104) bytes at linear @gva. @user: with the rights of the task's CPL,
	 * not the CPU's own.
	 * @will_write: a read whose place must be writable. 0, or -EFAULT with @f filled and
	 * nothing moved. */
	int (*read)(struct task *t, gva_t gva, void *buf, unsigned len, bool will_write,
		    struct emul_fault *f);
	int (*write)(struct task *t, gva_t gva, const void *buf, unsigned len, bool user,
		     struct emul_fault *f);
	/* The new task's CR3: later accesses go through it. -EINVAL: #GP. */
	int (*set_cr3)(struct task *t, u64 cr3);
};

/* State in and out. */
struct task {
	const struct task_ops *ops;
	void *ctx; /* the owner's */
	u64 gpr[GPR_COUNT];
	u64 rip; /* in: where the old task goes on */
	u64 rflags;
	struct vcpu_sregs s;
	struct emul_fault fault; /* out */
	bool switched;		 /* out: the fault, if any, is the new task's */
	bool trap;		 /* out: the new task asks for #DB before its first instruction */
};

/* What asked for it. */
struct task_cause {
	enum task_source source;
	bool external; /* an interrupt or exception, not an instruction: error codes say so */
	bool has_error;
	u32 error; /* the exception's, for the new task's stack */
};

/* Switch to the task of @selector. 0; -EFAULT: the guest takes t->fault, in the old task with
 * nothing changed or, with t->switched, in the new one. */
int task_switch(struct task *t, u16 selector, const struct task_cause *cause);

#endif
