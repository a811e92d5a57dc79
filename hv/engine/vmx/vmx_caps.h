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

/* One word of controls: bits that are 1 whatever one asks (allowed-0) and bits that may be 1. */
struct vmx_allowed {
	u32 must, may;
};

/* The registers, in words. Zeroes where the CPU has no such register. */
struct vmx_caps {
	u32 revision;	   /* first word of VMXON region and VMCS */
	u16 region_size;   /* bytes */
	u8 memory_type;	   /* of VMCS accesses: 6 write-back */
	bool structs_32;   /* VMX structures below 4 GiB only */
	bool insn_info_io; /* INS and OUTS exits have instruction information */
	bool true_controls;
	struct vmx_allowed pin, primary, secondary, exit, entry;
	u64 cr0_must, cr0_may; /* in VMX operation; PE and PG are free under unrestricted guest */
	u64 cr4_must, cr4_may;
	u8 timer_shift; /* the preemption timer counts when TSC bit @timer_shift changes */
	u8 activities;	/* BIT(ACTIVITY_*) that an entry may ask for */
	bool saves_lma; /* exits keep the IA-32e-mode-guest control right */
	bool zero_len_inject;
	u16 cr3_targets; /* values in the CR3-target list */
	u16 msr_list;	 /* entries of an MSR-load or -store list */
	u64 ept_vpid;	 /* EPT_CAP_*, VPID_CAP_* */
	u64 vmfunc;
	u8 phys_bits; /* width of physical addresses */
	u8 linear_bits;
	bool has_1g; /* of the CPU's own paging */
};

/* Starting values of the five words; the features are what code may rely on. */
struct vmx_controls {
	u32 pin, primary, secondary, exit, entry;
};

struct vmx_config {
	struct vmx_controls controls;
	bool lock; /* MSR 3Ah is not locked: set FEATURE_CONTROL_VMX and lock it on every CPU */
	bool ept_2m, ept_1g, ept_ad, ept_exec_only;
	bool unrestricted;
	bool vpid;
	u8 invept;  /* INVEPT_ONE or INVEPT_ALL */
	u8 invvpid; /* INVVPID_ONE or INVVPID_ALL */
	bool invvpid_address;
	bool preemption_timer;
	bool virtual_nmi;
	bool apic_access; /* virtualize APIC accesses */
	bool apicv;	  /* APIC-register virtualization and virtual-interrupt delivery */
	bool posted;
	bool pml;
	bool tsc_scaling;
	bool pause_loop;
	bool xsaves;
	u32 tags; /* VPIDs, 0 is the host's; 1: none to give */
};

/* Read the capability MSRs of a CPU that has VT-x. @src->lacks clears what it names. */
void vmx_caps_read(const struct cpu_source *src, struct vmx_caps *caps);
/* Choose the controls. -ENODEV with @why, naming everything that is missing. */
int vmx_configure(const struct vmx_caps *caps, struct vmx_config *config, char *why,
		  size_t why_len);
/* All of probing: CPUID, MSR 3Ah, the two above. 0, or -ENODEV with @why. */
int vmx_probe_source(const struct cpu_source *src, struct vmx_caps *caps, struct vmx_config *config,
		     char *why, size_t why_len);
/* @want with the bits that must be 1, or 0 and @missing where one of @want may not be. */
u32 vmx_settle(const struct vmx_allowed *a, u32 want, u32 *missing);

#endif
