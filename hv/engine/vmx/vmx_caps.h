/* What a CPU's VT-x can do, read from its capability MSRs, and what this engine makes of it: the
 * controls of every VMCS and the features that code asks about, or the reason of a refusal. Pure:
 * all it knows of the CPU comes through struct cpu_source. SDM vol. 3 appendix A.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_ENGINE_VMX_VMX_CAPS_H
#define HV_ENGINE_VMX_VMX_CAPS_H

#include "engine/cpu_source.h"
#include "penumbra/types.h"

#define MSR_FEATURE_CONTROL    0x03au
#define FEATURE_CONTROL_LOCK   BIT(0)
#define FEATURE_CONTROL_VMX    BIT(2) /* VMXON outside SMX operation */
#define MSR_VMX_BASIC	       0x480u
#define VMX_BASIC_REVISION     0x7fffffffull
#define VMX_BASIC_SIZE_SHIFT   32
#define VMX_BASIC_SIZE_MASK    0x1fffu
#define VMX_BASIC_32BIT	       BIT(48) /* VMX structures below 4 GiB only */
#define VMX_BASIC_TYPE_SHIFT   50
#define VMX_BASIC_TYPE_MASK    0xfu
#define VMX_BASIC_INS_OUTS     BIT(54) /* INS/OUTS exits have instruction information */
#define VMX_BASIC_TRUE	       BIT(55) /* the TRUE control MSRs exist */
#define MSR_VMX_PIN	       0x481u
#define MSR_VMX_PRIMARY	       0x482u
#define MSR_VMX_EXIT	       0x483u
#define MSR_VMX_ENTRY	       0x484u
#define MSR_VMX_MISC	       0x485u
#define VMX_MISC_TIMER_MASK    0x1fu
#define VMX_MISC_SAVES_LMA     BIT(5) /* exits store EFER.LMA into the IA-32e-mode-guest control */
#define VMX_MISC_HLT	       BIT(6)
#define VMX_MISC_SHUTDOWN      BIT(7)
#define VMX_MISC_SIPI	       BIT(8)
#define VMX_MISC_CR3_SHIFT     16
#define VMX_MISC_CR3_MASK      0x1ffu
#define VMX_MISC_LIST_SHIFT    25
#define VMX_MISC_LIST_MASK     7u
#define VMX_MISC_ZERO_LEN      BIT(30) /* injection with instruction length 0 */
#define MSR_VMX_CR0_FIXED0     0x486u
#define MSR_VMX_CR0_FIXED1     0x487u
#define MSR_VMX_CR4_FIXED0     0x488u
#define MSR_VMX_CR4_FIXED1     0x489u
#define MSR_VMX_SECONDARY      0x48bu
#define MSR_VMX_EPT_VPID       0x48cu
#define EPT_CAP_EXEC_ONLY      BIT(0)
#define EPT_CAP_WALK_4	       BIT(6)
#define EPT_CAP_WALK_5	       BIT(7)
#define EPT_CAP_UC	       BIT(8)
#define EPT_CAP_WB	       BIT(14)
#define EPT_CAP_2M	       BIT(16)
#define EPT_CAP_1G	       BIT(17)
#define EPT_CAP_INVEPT	       BIT(20)
#define EPT_CAP_AD	       BIT(21)
#define EPT_CAP_INVEPT_SINGLE  BIT(25)
#define EPT_CAP_INVEPT_ALL     BIT(26)
#define VPID_CAP_INVVPID       BIT(32)
#define VPID_CAP_ADDRESS       BIT(40) /* INVVPID types 0 to 3 */
#define VPID_CAP_SINGLE	       BIT(41)
#define VPID_CAP_ALL	       BIT(42)
#define VPID_CAP_SINGLE_GLOBAL BIT(43) /* single context, global translations kept */
#define MSR_VMX_TRUE_PIN       0x48du
#define MSR_VMX_TRUE_PRIMARY   0x48eu
#define MSR_VMX_TRUE_EXIT      0x48fu
#define MSR_VMX_TRUE_ENTRY     0x490u
#define MSR_VMX_VMFUNC	       0x491u
#define MSR_VMX_TERTIARY       0x492u

#define INVEPT_SINGLE		 1u
#define INVEPT_ALL		 2u
#define INVVPID_ADDRESS		 0u
#define INVVPID_SINGLE		 1u
#define INVVPID_ALL		 2u
#define INVVPID_SINGLE_NONGLOBAL 3u

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
	u8 invept;  /* INVEPT_SINGLE or INVEPT_ALL */
	u8 invvpid; /* INVVPID_SINGLE or INVVPID_ALL */
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
