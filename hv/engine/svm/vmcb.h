/* The virtual machine control block, AMD APM vol. 2 appendix B.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_ENGINE_SVM_VMCB_H
#define HV_ENGINE_SVM_VMCB_H

#include "penumbra/types.h"

/* Intercept vector 3 */
#define SVM_INTERCEPT_INTR     BIT(0)
#define SVM_INTERCEPT_NMI      BIT(1)
#define SVM_INTERCEPT_INIT     BIT(3)
#define SVM_INTERCEPT_VINTR    BIT(4)
#define SVM_INTERCEPT_CR0_SEL  BIT(5)
#define SVM_INTERCEPT_RDPMC    BIT(15)
#define SVM_INTERCEPT_CPUID    BIT(18)
#define SVM_INTERCEPT_IRET     BIT(20)
#define SVM_INTERCEPT_INVD     BIT(22)
#define SVM_INTERCEPT_PAUSE    BIT(23)
#define SVM_INTERCEPT_HLT      BIT(24)
#define SVM_INTERCEPT_INVLPG   BIT(25)
#define SVM_INTERCEPT_INVLPGA  BIT(26)
#define SVM_INTERCEPT_IOIO     BIT(27)
#define SVM_INTERCEPT_MSR      BIT(28)
#define SVM_INTERCEPT_TASK     BIT(29)
#define SVM_INTERCEPT_SHUTDOWN BIT(31)
/* Intercept vector 4 */
#define SVM_INTERCEPT_VMRUN	  BIT(0)
#define SVM_INTERCEPT_VMMCALL	  BIT(1)
#define SVM_INTERCEPT_VMLOAD	  BIT(2)
#define SVM_INTERCEPT_VMSAVE	  BIT(3)
#define SVM_INTERCEPT_STGI	  BIT(4)
#define SVM_INTERCEPT_CLGI	  BIT(5)
#define SVM_INTERCEPT_SKINIT	  BIT(6)
#define SVM_INTERCEPT_WBINVD	  BIT(9)
#define SVM_INTERCEPT_MONITOR	  BIT(10)
#define SVM_INTERCEPT_MWAIT	  BIT(11)
#define SVM_INTERCEPT_MWAIT_ARMED BIT(12)
#define SVM_INTERCEPT_XSETBV	  BIT(13)

/* int_ctl */
#define V_TPR_MASK     0xfu
#define V_IRQ	       BIT(8)
#define V_IGN_TPR      BIT(20)
#define V_INTR_MASKING BIT(24)

/* TLB_CONTROL */
#define TLB_FLUSH_NONE 0
#define TLB_FLUSH_ALL  1
#define TLB_FLUSH_ASID 3

/* EVENTINJ / EXITINTINFO */
#define EVENT_VECTOR	    0xffu
#define EVENT_TYPE_SHIFT    8
#define EVENT_TYPE_MASK	    7u
#define EVENT_ERROR_VALID   BIT(11)
#define EVENT_VALID	    BIT(31)
#define SVM_EVENT_INTR	    0u
#define SVM_EVENT_NMI	    2u
#define SVM_EVENT_EXCEPTION 3u
#define SVM_EVENT_SOFT	    4u

/* VMCB clean bits: a clear bit makes the CPU reload that group */
#define CLEAN_INTERCEPTS BIT(0)
#define CLEAN_PERMS	 BIT(1)
#define CLEAN_ASID	 BIT(2)
#define CLEAN_TPR	 BIT(3)
#define CLEAN_NESTED	 BIT(4)
#define CLEAN_CR	 BIT(5)
#define CLEAN_DR	 BIT(6)
#define CLEAN_DT	 BIT(7)
#define CLEAN_SEG	 BIT(8)
#define CLEAN_CR2	 BIT(9)
#define CLEAN_LBR	 BIT(10)
#define CLEAN_ALL	 0x7ffu

enum svm_exit_code {
	SVM_EXIT_CR_READ = 0x000,
	SVM_EXIT_CR_WRITE = 0x010,
	SVM_EXIT_DR_READ = 0x020,
	SVM_EXIT_DR_WRITE = 0x030,
	SVM_EXIT_EXCEPTION = 0x040,
	SVM_EXIT_INTR = 0x060,
	SVM_EXIT_NMI = 0x061,
	SVM_EXIT_INIT = 0x063,
	SVM_EXIT_VINTR = 0x064,
	SVM_EXIT_CR0_SEL = 0x065,
	SVM_EXIT_RDTSC = 0x06e,
	SVM_EXIT_RDPMC = 0x06f,
	SVM_EXIT_CPUID = 0x072,
	SVM_EXIT_IRET = 0x074,
	SVM_EXIT_INVD = 0x076,
	SVM_EXIT_PAUSE = 0x077,
	SVM_EXIT_HLT = 0x078,
	SVM_EXIT_INVLPG = 0x079,
	SVM_EXIT_INVLPGA = 0x07a,
	SVM_EXIT_IOIO = 0x07b,
	SVM_EXIT_MSR = 0x07c,
	SVM_EXIT_TASK = 0x07d,
	SVM_EXIT_SHUTDOWN = 0x07f,
	SVM_EXIT_VMRUN = 0x080,
	SVM_EXIT_SKINIT = 0x086,
	SVM_EXIT_WBINVD = 0x089,
	SVM_EXIT_MONITOR = 0x08a,
	SVM_EXIT_MWAIT = 0x08b,
	SVM_EXIT_MWAIT_ARMED = 0x08c,
	SVM_EXIT_XSETBV = 0x08d,
	SVM_EXIT_NPF = 0x400,
};
/* VMEXIT_INVALID is -1; some implementations store it zero-extended from 32 bits. */
#define SVM_EXIT_INVALID_LOW 0xffffffffu

/* EXITINFO1 of IOIO */
#define IOIO_IN		BIT(0)
#define IOIO_STRING	BIT(2)
#define IOIO_REP	BIT(3)
#define IOIO_SIZE_SHIFT 4
#define IOIO_PORT_SHIFT 16
/* EXITINFO2 of TASK; EXITINFO1 is the selector of the new TSS */
#define TASK_BY_IRET BIT(36)
#define TASK_BY_JMP  BIT(38)
/* EXITINFO1 of NPF: #PF code in the low bits */
#define NPF_TABLE BIT(33)

struct vmcb_seg {
	u16 sel, attr;
	u32 limit;
	u64 base;
};

struct vmcb {
	u16 cr_read, cr_write;	    /* 000 */
	u16 dr_read, dr_write;	    /* 004 */
	u32 exceptions;		    /* 008 */
	u32 intercept3, intercept4; /* 00c */
	u32 intercept5;		    /* 014 */
	u8 rsvd1[0x3c - 0x18];
	u16 pause_threshold; /* 03c */
	u16 pause_count;     /* 03e */
	u64 iopm_pa;	     /* 040 */
	u64 msrpm_pa;	     /* 048 */
	u64 tsc_offset;	     /* 050 */
	u32 asid;	     /* 058 */
	u32 tlb_control;     /* 05c */
	u32 int_ctl;	     /* 060 */
	u32 int_vector;	     /* 064 */
	u64 int_state;	     /* 068: bit 0 interrupt shadow */
	u64 exit_code;	     /* 070 */
	u64 info1, info2;    /* 078 */
	u64 exit_int_info;   /* 088 */
	u64 np_enable;	     /* 090 */
	u8 rsvd2[0xa8 - 0x98];
	u64 event_inj;	       /* 0a8 */
	u64 nested_cr3;	       /* 0b0 */
	u64 lbr_control;       /* 0b8 */
	u64 clean;	       /* 0c0 */
	u64 next_rip;	       /* 0c8 */
	u8 insn_bytes_fetched; /* 0d0 */
	u8 insn_bytes[15];
	u8 rsvd3[0x400 - 0xe0];
	struct vmcb_seg es, cs, ss, ds, fs, gs; /* 400 */
	struct vmcb_seg gdtr, ldtr, idtr, tr;	/* 460 */
	u8 rsvd4[0x4cb - 0x4a0];
	u8 cpl; /* 4cb */
	u32 rsvd5;
	u64 efer; /* 4d0 */
	u8 rsvd6[0x548 - 0x4d8];
	u64 cr4, cr3, cr0; /* 548 */
	u64 dr7, dr6;	   /* 560 */
	u64 rflags, rip;   /* 570 */
	u8 rsvd7[0x5d8 - 0x580];
	u64 rsp; /* 5d8 */
	u8 rsvd8[0x5f8 - 0x5e0];
	u64 rax;					/* 5f8 */
	u64 star, lstar, cstar, sfmask, kernel_gs_base; /* 600 */
	u64 sysenter_cs, sysenter_esp, sysenter_eip;	/* 628 */
	u64 cr2;					/* 640 */
	u8 rsvd9[0x668 - 0x648];
	u64 g_pat;  /* 668 */
	u64 dbgctl; /* 670 */
	u8 rsvd10[0x1000 - 0x678];
};

_Static_assert(sizeof(struct vmcb) == 4096, "VMCB is one page");
_Static_assert(offsetof(struct vmcb, iopm_pa) == 0x40, "VMCB control layout");
_Static_assert(offsetof(struct vmcb, exit_code) == 0x70, "VMCB control layout");
_Static_assert(offsetof(struct vmcb, event_inj) == 0xa8, "VMCB control layout");
_Static_assert(offsetof(struct vmcb, next_rip) == 0xc8, "VMCB control layout");
_Static_assert(offsetof(struct vmcb, cpl) == 0x4cb, "VMCB save layout");
_Static_assert(offsetof(struct vmcb, efer) == 0x4d0, "VMCB save layout");
_Static_assert(offsetof(struct vmcb, cr4) == 0x548, "VMCB save layout");
_Static_assert(offsetof(struct vmcb, rip) == 0x578, "VMCB save layout");
_Static_assert(offsetof(struct vmcb, rax) == 0x5f8, "VMCB save layout");
_Static_assert(offsetof(struct vmcb, cr2) == 0x640, "VMCB save layout");
_Static_assert(offsetof(struct vmcb, g_pat) == 0x668, "VMCB save layout");

#endif
