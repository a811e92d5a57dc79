/* What a CPU's VT-x can do, read from its capability MSRs, and what this engine makes of it: the
 * controls of every VMCS and the features that code asks about, or the reason of a refusal. Pure:
 * all it knows of the CPU comes through struct cpu_source. SDM vol. 3 appendix A.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_ENGINE_VMX_VMX_CAPS_H
#define HV_ENGINE_VMX_VMX_CAPS_H

#include "engine/cpu_source.h"
#include "engine/vmx/vmcs.h"
#include "penumbra/types.h"

struct engine_caps;

/* The words of controls, in the order of the VMX_ARRAYs below. */
enum vmx_word { VMX_PIN, VMX_PRIMARY, VMX_SECONDARY, VMX_EXIT, VMX_ENTRY, VMX_WORDS };

/* One word of controls: bits that are 1 whatever one asks, and bits that may be 1. */
struct vmx_allowed {
	u32 must, may;
};

/* The registers, taken apart. Zeroes where the CPU has no such register. */
struct vmx_caps {
	u32 revision;	   /* first word of VMXON region and VMCS */
	u16 region_size;   /* bytes */
	u8 memory_type;	   /* of VMCS accesses: 6 write-back */
	bool insn_info_io; /* INS and OUTS exits have instruction information */
	bool true_controls;
	struct vmx_allowed allowed[VMX_WORDS];
	u64 cr0_must, cr0_may; /* in VMX operation; PE and PG are free under unrestricted guest */
	u64 cr4_must, cr4_may;
	u8 timer_shift; /* the preemption timer counts when TSC bit @timer_shift changes */
	u8 activities;	/* BIT(ACTIVITY_*) that an entry may ask for */
	bool saves_lma; /* exits keep the IA-32e-mode-guest control right */
	bool zero_len_inject;
	bool free_error_code; /* exceptions are injected with or without one, as asked */
	u16 cr3_targets;      /* values in the CR3-target list */
	u16 msr_list;	      /* entries that an MSR-load or -store list should not exceed */
	u64 ept_vpid;	      /* EPT_CAP_* */
	u8 phys_bits;	      /* width of physical and of linear addresses */
	u8 linear_bits;
	u32 lacks; /* CPU_LACKS_* that are pretended, for messages */
};

/* What a VMCS starts with. */
struct vmx_controls {
	u32 pin, primary, secondary, exit, entry;
};

/* What code may rely on. Without a comment: what the CPU has; not all of it is on at the start. */
struct vmx_config {
	struct vmx_controls controls;
	bool lock; /* MSR 3Ah is open: FEATURE_CONTROL_VMX must be set, and locked, on each CPU */
	bool ept_1g, ept_ad, ept_exec_only;
	u8 ept_type; /* memory type of EPT accesses: 6 write-back, 0 uncached */
	bool vpid;   /* on, with a way to flush it */
	u8 invept;   /* INVEPT_ONE, or INVEPT_ALL where there is no other */
	u8 invvpid;  /* INVVPID_ONE or INVVPID_ALL likewise; only with vpid */
	bool invvpid_address;
	bool preemption_timer;
	bool apic_access;    /* on */
	bool apic_registers; /* on: APIC-register virtualization */
	bool apicv;	     /* virtual-interrupt delivery too */
	bool posted;
	bool shadow_1g; /* 1 GiB leaves in the tables that replace the guest's */
	u8 phys_bits;
	bool shadow;	     /* without EPT, CR3 and INVLPG can be made to exit */
	bool filters_faults; /* entries of page tables can have reserved address bits */
	bool pml;
	bool tsc_scaling;
	bool efer_list, pat_list; /* by the MSR lists, for want of controls */
	bool pause_loop;	  /* on */
	bool rdtscp;		  /* on: a guest's RDTSCP does not raise #UD */
	u32 tags;		  /* VPIDs, 0 is the host's; 1: none to give */
};

/* All of probing: CPUID, MSR 3Ah, capability MSRs into @caps, the choice of controls into @config.
 * 0, or -ENODEV with @why, which names everything that is missing. */
int vmx_probe_source(const struct cpu_source *src, struct vmx_caps *caps, struct vmx_config *config,
		     char *why, size_t why_len);
/* The vendor-neutral view of it. */
void vmx_engine_caps(const struct vmx_config *config, struct engine_caps *out);

#endif
