/* The virtual-machine control structure: field encodings, control bits, exit reasons, the forms of
 * access rights and events. Intel SDM vol. 3 ch. 25 and appendices A to C (numbering of the
 * editions since 2023: chapter 27 is VM entries, 28 is VM exits).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_ENGINE_VMX_VMCS_H
#define HV_ENGINE_VMX_VMCS_H

#include "lib/x86.h"
#include "penumbra/types.h"

/* Appendix B: F(constant's name without VMCS_, encoding, the manual's name). The encoding tells the
 * rest (§25.11.2): bits 14:13 the width, 11:10 the kind, bit 0 the upper half of a 64-bit field. */
#define VMCS_FIELD_LIST(F)                                                                         \
	/* B.1: 16 bits */                                                                         \
	F(VPID, 0x0000, "virtual-processor identifier")                                            \
	F(POSTED_VECTOR, 0x0002, "posted-interrupt notification vector")                           \
	F(EPTP_INDEX, 0x0004, "EPTP index")                                                        \
	F(GUEST_ES_SEL, 0x0800, "guest ES selector")                                               \
	F(GUEST_CS_SEL, 0x0802, "guest CS selector")                                               \
	F(GUEST_SS_SEL, 0x0804, "guest SS selector")                                               \
	F(GUEST_DS_SEL, 0x0806, "guest DS selector")                                               \
	F(GUEST_FS_SEL, 0x0808, "guest FS selector")                                               \
	F(GUEST_GS_SEL, 0x080a, "guest GS selector")                                               \
	F(GUEST_LDTR_SEL, 0x080c, "guest LDTR selector")                                           \
	F(GUEST_TR_SEL, 0x080e, "guest TR selector")                                               \
	F(GUEST_INTR_STATUS, 0x0810, "guest interrupt status")                                     \
	F(PML_INDEX, 0x0812, "PML index")                                                          \
	F(HOST_ES_SEL, 0x0c00, "host ES selector")                                                 \
	F(HOST_CS_SEL, 0x0c02, "host CS selector")                                                 \
	F(HOST_SS_SEL, 0x0c04, "host SS selector")                                                 \
	F(HOST_DS_SEL, 0x0c06, "host DS selector")                                                 \
	F(HOST_FS_SEL, 0x0c08, "host FS selector")                                                 \
	F(HOST_GS_SEL, 0x0c0a, "host GS selector")                                                 \
	F(HOST_TR_SEL, 0x0c0c, "host TR selector")                                                 \
	/* B.2: 64 bits */                                                                         \
	F(IO_BITMAP_A, 0x2000, "address of I/O bitmap A")                                          \
	F(IO_BITMAP_B, 0x2002, "address of I/O bitmap B")                                          \
	F(MSR_BITMAP, 0x2004, "address of MSR bitmaps")                                            \
	F(EXIT_MSR_STORE, 0x2006, "VM-exit MSR-store address")                                     \
	F(EXIT_MSR_LOAD, 0x2008, "VM-exit MSR-load address")                                       \
	F(ENTRY_MSR_LOAD, 0x200a, "VM-entry MSR-load address")                                     \
	F(EXECUTIVE_VMCS, 0x200c, "executive-VMCS pointer")                                        \
	F(PML_ADDRESS, 0x200e, "PML address")                                                      \
	F(TSC_OFFSET, 0x2010, "TSC offset")                                                        \
	F(VAPIC_PAGE, 0x2012, "virtual-APIC address")                                              \
	F(APIC_ACCESS_PAGE, 0x2014, "APIC-access address")                                         \
	F(POSTED_DESC, 0x2016, "posted-interrupt descriptor address")                              \
	F(VM_FUNCTIONS, 0x2018, "VM-function controls")                                            \
	F(EPTP, 0x201a, "EPT pointer")                                                             \
	F(EOI_EXIT0, 0x201c, "EOI-exit bitmap 0")                                                  \
	F(EOI_EXIT1, 0x201e, "EOI-exit bitmap 1")                                                  \
	F(EOI_EXIT2, 0x2020, "EOI-exit bitmap 2")                                                  \
	F(EOI_EXIT3, 0x2022, "EOI-exit bitmap 3")                                                  \
	F(EPTP_LIST, 0x2024, "EPTP-list address")                                                  \
	F(VMREAD_BITMAP, 0x2026, "VMREAD-bitmap address")                                          \
	F(VMWRITE_BITMAP, 0x2028, "VMWRITE-bitmap address")                                        \
	F(VE_AREA, 0x202a, "virtualization-exception information address")                         \
	F(XSS_EXITS, 0x202c, "XSS-exiting bitmap")                                                 \
	F(ENCLS_EXITING, 0x202e, "ENCLS-exiting bitmap")                                           \
	F(SUBPAGE_TABLE, 0x2030, "sub-page-permission-table pointer")                              \
	F(TSC_MULTIPLIER, 0x2032, "TSC multiplier")                                                \
	F(TERTIARY_CONTROLS, 0x2034, "tertiary processor-based VM-execution controls")             \
	F(GUEST_PHYSICAL, 0x2400, "guest-physical address")                                        \
	F(LINK_POINTER, 0x2800, "VMCS link pointer")                                               \
	F(GUEST_DEBUGCTL, 0x2802, "guest IA32_DEBUGCTL")                                           \
	F(GUEST_PAT, 0x2804, "guest IA32_PAT")                                                     \
	F(GUEST_EFER, 0x2806, "guest IA32_EFER")                                                   \
	F(GUEST_PERF_GLOBAL_CTRL, 0x2808, "guest IA32_PERF_GLOBAL_CTRL")                           \
	F(GUEST_PDPTE0, 0x280a, "guest PDPTE0")                                                    \
	F(GUEST_PDPTE1, 0x280c, "guest PDPTE1")                                                    \
	F(GUEST_PDPTE2, 0x280e, "guest PDPTE2")                                                    \
	F(GUEST_PDPTE3, 0x2810, "guest PDPTE3")                                                    \
	F(GUEST_BNDCFGS, 0x2812, "guest IA32_BNDCFGS")                                             \
	F(HOST_PAT, 0x2c00, "host IA32_PAT")                                                       \
	F(HOST_EFER, 0x2c02, "host IA32_EFER")                                                     \
	F(HOST_PERF_GLOBAL_CTRL, 0x2c04, "host IA32_PERF_GLOBAL_CTRL")                             \
	/* B.3: 32 bits */                                                                         \
	F(PIN_CONTROLS, 0x4000, "pin-based VM-execution controls")                                 \
	F(PRIMARY_CONTROLS, 0x4002, "primary processor-based VM-execution controls")               \
	F(EXCEPTION_BITMAP, 0x4004, "exception bitmap")                                            \
	F(PF_ERROR_MASK, 0x4006, "page-fault error-code mask")                                     \
	F(PF_ERROR_MATCH, 0x4008, "page-fault error-code match")                                   \
	F(CR3_TARGET_COUNT, 0x400a, "CR3-target count")                                            \
	F(EXIT_CONTROLS, 0x400c, "VM-exit controls")                                               \
	F(EXIT_MSR_STORE_COUNT, 0x400e, "VM-exit MSR-store count")                                 \
	F(EXIT_MSR_LOAD_COUNT, 0x4010, "VM-exit MSR-load count")                                   \
	F(ENTRY_CONTROLS, 0x4012, "VM-entry controls")                                             \
	F(ENTRY_MSR_LOAD_COUNT, 0x4014, "VM-entry MSR-load count")                                 \
	F(ENTRY_INTR_INFO, 0x4016, "VM-entry interruption-information field")                      \
	F(ENTRY_INTR_ERROR, 0x4018, "VM-entry exception error code")                               \
	F(ENTRY_INSN_LEN, 0x401a, "VM-entry instruction length")                                   \
	F(TPR_THRESHOLD, 0x401c, "TPR threshold")                                                  \
	F(SECONDARY_CONTROLS, 0x401e, "secondary processor-based VM-execution controls")           \
	F(PLE_GAP, 0x4020, "PLE gap")                                                              \
	F(PLE_WINDOW, 0x4022, "PLE window")                                                        \
	F(INSN_ERROR, 0x4400, "VM-instruction error")                                              \
	F(EXIT_REASON, 0x4402, "exit reason")                                                      \
	F(EXIT_INTR_INFO, 0x4404, "VM-exit interruption information")                              \
	F(EXIT_INTR_ERROR, 0x4406, "VM-exit interruption error code")                              \
	F(IDT_VECTORING, 0x4408, "IDT-vectoring information field")                                \
	F(IDT_VECTORING_ERROR, 0x440a, "IDT-vectoring error code")                                 \
	F(EXIT_INSN_LEN, 0x440c, "VM-exit instruction length")                                     \
	F(EXIT_INSN_INFO, 0x440e, "VM-exit instruction information")                               \
	F(GUEST_ES_LIMIT, 0x4800, "guest ES limit")                                                \
	F(GUEST_CS_LIMIT, 0x4802, "guest CS limit")                                                \
	F(GUEST_SS_LIMIT, 0x4804, "guest SS limit")                                                \
	F(GUEST_DS_LIMIT, 0x4806, "guest DS limit")                                                \
	F(GUEST_FS_LIMIT, 0x4808, "guest FS limit")                                                \
	F(GUEST_GS_LIMIT, 0x480a, "guest GS limit")                                                \
	F(GUEST_LDTR_LIMIT, 0x480c, "guest LDTR limit")                                            \
	F(GUEST_TR_LIMIT, 0x480e, "guest TR limit")                                                \
	F(GUEST_GDTR_LIMIT, 0x4810, "guest GDTR limit")                                            \
	F(GUEST_IDTR_LIMIT, 0x4812, "guest IDTR limit")                                            \
	F(GUEST_ES_RIGHTS, 0x4814, "guest ES access rights")                                       \
	F(GUEST_CS_RIGHTS, 0x4816, "guest CS access rights")                                       \
	F(GUEST_SS_RIGHTS, 0x4818, "guest SS access rights")                                       \
	F(GUEST_DS_RIGHTS, 0x481a, "guest DS access rights")                                       \
	F(GUEST_FS_RIGHTS, 0x481c, "guest FS access rights")                                       \
	F(GUEST_GS_RIGHTS, 0x481e, "guest GS access rights")                                       \
	F(GUEST_LDTR_RIGHTS, 0x4820, "guest LDTR access rights")                                   \
	F(GUEST_TR_RIGHTS, 0x4822, "guest TR access rights")                                       \
	F(GUEST_BLOCKING, 0x4824, "guest interruptibility state")                                  \
	F(GUEST_ACTIVITY, 0x4826, "guest activity state")                                          \
	F(GUEST_SMBASE, 0x4828, "guest SMBASE")                                                    \
	F(GUEST_SYSENTER_CS, 0x482a, "guest IA32_SYSENTER_CS")                                     \
	F(PREEMPTION_TIMER, 0x482e, "VMX-preemption timer value")                                  \
	F(HOST_SYSENTER_CS, 0x4c00, "host IA32_SYSENTER_CS")                                       \
	/* B.4: natural width */                                                                   \
	F(CR0_MASK, 0x6000, "CR0 guest/host mask")                                                 \
	F(CR4_MASK, 0x6002, "CR4 guest/host mask")                                                 \
	F(CR0_SHADOW, 0x6004, "CR0 read shadow")                                                   \
	F(CR4_SHADOW, 0x6006, "CR4 read shadow")                                                   \
	F(CR3_TARGET0, 0x6008, "CR3-target value 0")                                               \
	F(CR3_TARGET1, 0x600a, "CR3-target value 1")                                               \
	F(CR3_TARGET2, 0x600c, "CR3-target value 2")                                               \
	F(CR3_TARGET3, 0x600e, "CR3-target value 3")                                               \
	F(EXIT_QUALIFICATION, 0x6400, "exit qualification")                                        \
	F(IO_RCX, 0x6402, "I/O RCX")                                                               \
	F(IO_RSI, 0x6404, "I/O RSI")                                                               \
	F(IO_RDI, 0x6406, "I/O RDI")                                                               \
	F(IO_RIP, 0x6408, "I/O RIP")                                                               \
	F(GUEST_LINEAR, 0x640a, "guest-linear address")                                            \
	F(GUEST_CR0, 0x6800, "guest CR0")                                                          \
	F(GUEST_CR3, 0x6802, "guest CR3")                                                          \
	F(GUEST_CR4, 0x6804, "guest CR4")                                                          \
	F(GUEST_ES_BASE, 0x6806, "guest ES base")                                                  \
	F(GUEST_CS_BASE, 0x6808, "guest CS base")                                                  \
	F(GUEST_SS_BASE, 0x680a, "guest SS base")                                                  \
	F(GUEST_DS_BASE, 0x680c, "guest DS base")                                                  \
	F(GUEST_FS_BASE, 0x680e, "guest FS base")                                                  \
	F(GUEST_GS_BASE, 0x6810, "guest GS base")                                                  \
	F(GUEST_LDTR_BASE, 0x6812, "guest LDTR base")                                              \
	F(GUEST_TR_BASE, 0x6814, "guest TR base")                                                  \
	F(GUEST_GDTR_BASE, 0x6816, "guest GDTR base")                                              \
	F(GUEST_IDTR_BASE, 0x6818, "guest IDTR base")                                              \
	F(GUEST_DR7, 0x681a, "guest DR7")                                                          \
	F(GUEST_RSP, 0x681c, "guest RSP")                                                          \
	F(GUEST_RIP, 0x681e, "guest RIP")                                                          \
	F(GUEST_RFLAGS, 0x6820, "guest RFLAGS")                                                    \
	F(GUEST_PENDING_DEBUG, 0x6822, "guest pending debug exceptions")                           \
	F(GUEST_SYSENTER_ESP, 0x6824, "guest IA32_SYSENTER_ESP")                                   \
	F(GUEST_SYSENTER_EIP, 0x6826, "guest IA32_SYSENTER_EIP")                                   \
	F(HOST_CR0, 0x6c00, "host CR0")                                                            \
	F(HOST_CR3, 0x6c02, "host CR3")                                                            \
	F(HOST_CR4, 0x6c04, "host CR4")                                                            \
	F(HOST_FS_BASE, 0x6c06, "host FS base")                                                    \
	F(HOST_GS_BASE, 0x6c08, "host GS base")                                                    \
	F(HOST_TR_BASE, 0x6c0a, "host TR base")                                                    \
	F(HOST_GDTR_BASE, 0x6c0c, "host GDTR base")                                                \
	F(HOST_IDTR_BASE, 0x6c0e, "host IDTR base")                                                \
	F(HOST_SYSENTER_ESP, 0x6c10, "host IA32_SYSENTER_ESP")                                     \
	F(HOST_SYSENTER_EIP, 0x6c12, "host IA32_SYSENTER_EIP")                                     \
	F(HOST_RSP, 0x6c14, "host RSP")                                                            \
	F(HOST_RIP, 0x6c16, "host RIP")

enum vmcs_field {
#define VMCS_ENUM(name, encoding, text) VMCS_##name = (encoding),
	VMCS_FIELD_LIST(VMCS_ENUM)
#undef VMCS_ENUM
};

/* §25.6.1: pin-based execution controls */
#define PIN_CTL_EXTINT BIT(0) /* external-interrupt exiting */
#define PIN_CTL_NMI    BIT(3) /* NMI exiting */
#define PIN_CTL_VNMI   BIT(5) /* virtual NMIs */
#define PIN_CTL_TIMER  BIT(6) /* activate VMX-preemption timer */
#define PIN_CTL_POSTED BIT(7) /* process posted interrupts */

/* §25.6.2: primary processor-based execution controls */
#define PRI_CTL_INTR_WINDOW BIT(2)
#define PRI_CTL_TSC_OFFSET  BIT(3)
#define PRI_CTL_HLT	    BIT(7)
#define PRI_CTL_INVLPG	    BIT(9)
#define PRI_CTL_MWAIT	    BIT(10)
#define PRI_CTL_RDPMC	    BIT(11)
#define PRI_CTL_RDTSC	    BIT(12)
#define PRI_CTL_CR3_LOAD    BIT(15)
#define PRI_CTL_CR3_STORE   BIT(16)
#define PRI_CTL_TERTIARY    BIT(17)
#define PRI_CTL_CR8_LOAD    BIT(19)
#define PRI_CTL_CR8_STORE   BIT(20)
#define PRI_CTL_TPR_SHADOW  BIT(21)
#define PRI_CTL_NMI_WINDOW  BIT(22)
#define PRI_CTL_MOV_DR	    BIT(23)
#define PRI_CTL_IO	    BIT(24)
#define PRI_CTL_IO_BITMAPS  BIT(25)
#define PRI_CTL_MTF	    BIT(27) /* monitor trap flag */
#define PRI_CTL_MSR_BITMAPS BIT(28)
#define PRI_CTL_MONITOR	    BIT(29)
#define PRI_CTL_PAUSE	    BIT(30)
#define PRI_CTL_SECONDARY   BIT(31)

/* §25.6.2: secondary processor-based execution controls */
#define SEC_CTL_APIC_ACCESS    BIT(0) /* virtualize APIC accesses */
#define SEC_CTL_EPT	       BIT(1)
#define SEC_CTL_DESC_TABLE     BIT(2)
#define SEC_CTL_RDTSCP	       BIT(3) /* enable RDTSCP */
#define SEC_CTL_X2APIC	       BIT(4) /* virtualize x2APIC mode */
#define SEC_CTL_VPID	       BIT(5)
#define SEC_CTL_WBINVD	       BIT(6)
#define SEC_CTL_UNRESTRICTED   BIT(7)
#define SEC_CTL_APIC_REGISTERS BIT(8) /* APIC-register virtualization */
#define SEC_CTL_INTR_DELIVERY  BIT(9) /* virtual-interrupt delivery */
#define SEC_CTL_PAUSE_LOOP     BIT(10)
#define SEC_CTL_RDRAND	       BIT(11)
#define SEC_CTL_INVPCID	       BIT(12) /* enable INVPCID */
#define SEC_CTL_VMFUNC	       BIT(13)
#define SEC_CTL_VMCS_SHADOWING BIT(14)
#define SEC_CTL_ENCLS	       BIT(15)
#define SEC_CTL_RDSEED	       BIT(16)
#define SEC_CTL_PML	       BIT(17)
#define SEC_CTL_EPT_VE	       BIT(18) /* EPT-violation #VE */
#define SEC_CTL_XSAVES	       BIT(20) /* enable XSAVES/XRSTORS */
#define SEC_CTL_MBE	       BIT(22) /* mode-based execute control for EPT */
#define SEC_CTL_SPP	       BIT(23) /* sub-page write permissions for EPT */
#define SEC_CTL_PT_GPA	       BIT(24) /* Intel PT uses guest-physical addresses */
#define SEC_CTL_TSC_SCALING    BIT(25)
#define SEC_CTL_USER_WAIT      BIT(26) /* enable user wait and pause */

/* §25.7.1: VM-exit controls */
#define EXIT_CTL_SAVE_DEBUG    BIT(2)
#define EXIT_CTL_HOST_64       BIT(9) /* host address-space size */
#define EXIT_CTL_LOAD_PERF     BIT(12)
#define EXIT_CTL_ACK_INTR      BIT(15)
#define EXIT_CTL_SAVE_PAT      BIT(18)
#define EXIT_CTL_LOAD_PAT      BIT(19)
#define EXIT_CTL_SAVE_EFER     BIT(20)
#define EXIT_CTL_LOAD_EFER     BIT(21)
#define EXIT_CTL_SAVE_TIMER    BIT(22)
#define EXIT_CTL_CLEAR_BNDCFGS BIT(23)

/* §25.8.1: VM-entry controls */
#define ENTRY_CTL_LOAD_DEBUG   BIT(2)
#define ENTRY_CTL_IA32E	       BIT(9) /* IA-32e mode guest */
#define ENTRY_CTL_SMM	       BIT(10)
#define ENTRY_CTL_DUAL_SMM     BIT(11)
#define ENTRY_CTL_LOAD_PERF    BIT(13)
#define ENTRY_CTL_LOAD_PAT     BIT(14)
#define ENTRY_CTL_LOAD_EFER    BIT(15)
#define ENTRY_CTL_LOAD_BNDCFGS BIT(16)

/* §25.6.11: EPT pointer */
#define EPTP_TYPE      0x7ull /* memory type of the tables: 0 UC, 6 WB */
#define EPTP_TYPE_WB   6ull
#define EPTP_WALK_4    0x18ull /* length of the walk less 1, in bits 5:3 */
#define EPTP_WALK_5    0x20ull
#define EPTP_WALK_MASK 0x38ull
#define EPTP_AD	       BIT(6) /* accessed and dirty flags */

/* §29.3.3, tables 29-1 to 29-7: EPT entries */
#define EPTE_R	       BIT(0)
#define EPTE_W	       BIT(1)
#define EPTE_X	       BIT(2)
#define EPTE_TYPE(t)   ((u64)(t) << 3) /* leaves: memory type 0 UC 1 WC 4 WT 5 WP 6 WB */
#define EPTE_TYPE_MASK 0x38ull
#define EPTE_IPAT      BIT(6) /* ignore the guest's PAT */
#define EPTE_LARGE     BIT(7)
#define EPTE_A	       BIT(8)
#define EPTE_D	       BIT(9)
#define EPTE_ADDR      0x000ffffffffff000ull

/* --- guest state (§25.4) ---------------------------------------------------------------------- */

#define BLOCKED_STI	      BIT(0)
#define BLOCKED_MOV_SS	      BIT(1)
#define BLOCKED_SMI	      BIT(2)
#define BLOCKED_NMI	      BIT(3)
#define BLOCKED_ENCLAVE	      BIT(4)
#define ACTIVITY_ACTIVE	      0u
#define ACTIVITY_HLT	      1u
#define ACTIVITY_SHUTDOWN     2u
#define ACTIVITY_SIPI	      3u
#define PENDING_DEBUG_B	      0xfull /* B0..B3 */
#define PENDING_DEBUG_ENABLED BIT(12)
#define PENDING_DEBUG_BS      BIT(14)
#define PENDING_DEBUG_RTM     BIT(16)

/* Entry and exit interruption information, IDT-vectoring information */
#define INTR_VECTOR	   0xffu
#define INTR_TYPE_SHIFT	   8
#define INTR_TYPE_MASK	   7u
#define INTR_ERROR_VALID   BIT(11)
#define INTR_NMI_UNBLOCKED BIT(12) /* exit only: IRET had ended NMI blocking */
#define INTR_VALID	   BIT(31)
#define INTR_RESERVED	   0x7ffff000u /* on entries */
enum intr_type {
	INTR_EXTERNAL = 0,
	INTR_NMI = 2,
	INTR_EXCEPTION = 3,
	INTR_SOFT = 4,
	INTR_PRIV_SOFT_EXCEPTION = 5, /* INT1 */
	INTR_SOFT_EXCEPTION = 6,      /* INT3, INTO */
	INTR_OTHER = 7,		      /* entries: pending MTF */
};

/* --- exits (appendix C, §28.2.1) -------------------------------------------------------------- */

#define EXIT_REASON_BASIC  0xffffu
#define EXIT_REASON_FAILED BIT(31) /* the entry failed */

enum vmx_exit_reason {
	VMX_EXIT_EXCEPTION_NMI = 0,
	VMX_EXIT_EXTINT = 1,
	VMX_EXIT_TRIPLE_FAULT = 2,
	VMX_EXIT_INIT = 3,
	VMX_EXIT_SIPI = 4,
	VMX_EXIT_INTR_WINDOW = 7,
	VMX_EXIT_NMI_WINDOW = 8,
	VMX_EXIT_TASK_SWITCH = 9,
	VMX_EXIT_CPUID = 10,
	VMX_EXIT_GETSEC = 11,
	VMX_EXIT_HLT = 12,
	VMX_EXIT_INVD = 13,
	VMX_EXIT_INVLPG = 14,
	VMX_EXIT_RDPMC = 15,
	VMX_EXIT_RDTSC = 16,
	VMX_EXIT_RSM = 17,
	VMX_EXIT_VMCALL = 18,
	VMX_EXIT_VMCLEAR = 19,
	VMX_EXIT_VMLAUNCH = 20,
	VMX_EXIT_VMPTRLD = 21,
	VMX_EXIT_VMPTRST = 22,
	VMX_EXIT_VMREAD = 23,
	VMX_EXIT_VMRESUME = 24,
	VMX_EXIT_VMWRITE = 25,
	VMX_EXIT_VMXOFF = 26,
	VMX_EXIT_VMXON = 27,
	VMX_EXIT_CR = 28,
	VMX_EXIT_DR = 29,
	VMX_EXIT_IO = 30,
	VMX_EXIT_RDMSR = 31,
	VMX_EXIT_WRMSR = 32,
	VMX_EXIT_BAD_GUEST_STATE = 33,
	VMX_EXIT_BAD_MSR_LIST = 34,
	VMX_EXIT_MWAIT = 36,
	VMX_EXIT_MTF = 37,
	VMX_EXIT_MONITOR = 39,
	VMX_EXIT_PAUSE = 40,
	VMX_EXIT_ENTRY_MC = 41,
	VMX_EXIT_TPR_BELOW = 43,
	VMX_EXIT_APIC_ACCESS = 44,
	VMX_EXIT_EOI = 45,
	VMX_EXIT_GDTR_IDTR = 46,
	VMX_EXIT_LDTR_TR = 47,
	VMX_EXIT_EPT_VIOLATION = 48,
	VMX_EXIT_EPT_MISCONFIG = 49,
	VMX_EXIT_INVEPT = 50,
	VMX_EXIT_RDTSCP = 51,
	VMX_EXIT_TIMER = 52,
	VMX_EXIT_INVVPID = 53,
	VMX_EXIT_WBINVD = 54,
	VMX_EXIT_XSETBV = 55,
	VMX_EXIT_APIC_WRITE = 56,
	VMX_EXIT_RDRAND = 57,
	VMX_EXIT_INVPCID = 58,
	VMX_EXIT_VMFUNC = 59,
	VMX_EXIT_ENCLS = 60,
	VMX_EXIT_RDSEED = 61,
	VMX_EXIT_PML_FULL = 62,
	VMX_EXIT_XSAVES = 63,
	VMX_EXIT_XRSTORS = 64,
};

/* Exit qualification of a control-register access */
#define CR_QUAL_NUMBER	   0xfu
#define CR_QUAL_TYPE_SHIFT 4
#define CR_QUAL_TYPE_MASK  3u
#define CR_QUAL_GPR_SHIFT  8
#define CR_QUAL_GPR_MASK   0xfu
enum cr_access { CR_MOV_TO = 0, CR_MOV_FROM = 1, CR_CLTS = 2, CR_LMSW = 3 };
/* of a port access */
#define IO_QUAL_SIZE	   7u /* bytes - 1 */
#define IO_QUAL_IN	   BIT(3)
#define IO_QUAL_STRING	   BIT(4)
#define IO_QUAL_REP	   BIT(5)
#define IO_QUAL_PORT_SHIFT 16
/* of an APIC access, of an APIC write */
#define APIC_QUAL_OFFSET     0xfffu
#define APIC_QUAL_TYPE_SHIFT 12
#define APIC_QUAL_TYPE_MASK  0xfu
enum apic_access {
	APIC_LINEAR_READ = 0,
	APIC_LINEAR_WRITE = 1,
	APIC_LINEAR_FETCH = 2,
	APIC_LINEAR_EVENT = 3,	  /* read or written by the delivery of an event */
	APIC_PHYSICAL_EVENT = 10, /* a walk of page tables for that */
	APIC_PHYSICAL = 15,	  /* another one */
};
/* of an EPT violation */
#define EPT_QUAL_READ	       BIT(0)
#define EPT_QUAL_WRITE	       BIT(1)
#define EPT_QUAL_FETCH	       BIT(2)
#define EPT_QUAL_ALLOWED       0x38u  /* what the translation allows; 0: there is none */
#define EPT_QUAL_LINEAR	       BIT(7) /* the guest-linear address is valid */
#define EPT_QUAL_FINAL	       BIT(8) /* 0 with a linear address: the walk itself */
#define EPT_QUAL_NMI_UNBLOCKED BIT(12)
/* of a task switch; the sources are numbered as enum task_source */
#define TASK_QUAL_SELECTOR     0xffffu
#define TASK_QUAL_SOURCE_SHIFT 30
#define TASK_QUAL_SOURCE_MASK  3u
/* of #DB: what it would have put into DR6 */
#define DB_QUAL_DR6 0x600fu
#define DB_QUAL_BD  BIT(13)

/* --- capability MSRs (appendix A) ------------------------------------------------------------- */

#define MSR_FEATURE_CONTROL	    0x3au
#define FEATURE_CONTROL_VMX_SMX	    BIT(1)
#define FEATURE_CONTROL_VMX	    BIT(2)
#define MSR_VMX_BASIC		    0x480u
#define MSR_VMX_PIN_CTLS	    0x481u
#define MSR_VMX_PRIMARY_CTLS	    0x482u
#define MSR_VMX_EXIT_CTLS	    0x483u
#define MSR_VMX_ENTRY_CTLS	    0x484u
#define MSR_VMX_MISC		    0x485u
#define MSR_VMX_CR0_FIXED0	    0x486u
#define MSR_VMX_CR0_FIXED1	    0x487u
#define MSR_VMX_CR4_FIXED0	    0x488u
#define MSR_VMX_CR4_FIXED1	    0x489u
#define MSR_VMX_SECONDARY_CTLS	    0x48bu
#define MSR_VMX_EPT_VPID_CAP	    0x48cu
#define MSR_VMX_TRUE_PIN_CTLS	    0x48du
#define MSR_VMX_TRUE_PRIMARY_CTLS   0x48eu
#define MSR_VMX_TRUE_EXIT_CTLS	    0x48fu
#define MSR_VMX_TRUE_ENTRY_CTLS	    0x490u
#define VMX_BASIC_REVISION	    0x7fffffffull
#define MSR_VMX_VMFUNC		    0x491u
#define VMX_BASIC_SIZE_SHIFT	    32
#define VMX_BASIC_SIZE_MASK	    0x1fffu
#define VMX_BASIC_32BIT		    BIT(48) /* VMX structures below 4 GiB only */
#define VMX_BASIC_TYPE_SHIFT	    50
#define VMX_BASIC_TYPE_MASK	    0xfu
#define VMX_BASIC_INS_OUTS	    BIT(54) /* INS and OUTS exits have instruction information */
#define VMX_BASIC_TRUE_CTLS	    BIT(55)
#define VMX_BASIC_FREE_ERROR	    BIT(56) /* injected exceptions may have any error code */
#define VMX_MISC_TIMER_MASK	    0x1fu
#define VMX_MISC_SAVES_LMA	    BIT(5) /* exits keep the IA-32e-mode-guest control right */
#define VMX_MISC_ACTIVITY_SHIFT	    6
#define VMX_MISC_ACTIVITY_MASK	    7u /* HLT, shutdown, wait-for-SIPI */
#define VMX_MISC_CR3_SHIFT	    16
#define VMX_MISC_CR3_MASK	    0x1ffu
#define VMX_MISC_LIST_SHIFT	    25
#define VMX_MISC_LIST_MASK	    7u
#define VMX_MISC_ZERO_LEN	    BIT(30) /* injection with instruction length 0 */
#define EPT_CAP_EXEC_ONLY	    BIT(0)
#define EPT_CAP_WALK_4		    BIT(6)
#define EPT_CAP_WALK_5		    BIT(7)
#define EPT_CAP_UC		    BIT(8)
#define EPT_CAP_WB		    BIT(14)
#define EPT_CAP_2M		    BIT(16)
#define EPT_CAP_1G		    BIT(17)
#define EPT_CAP_INVEPT		    BIT(20)
#define EPT_CAP_AD		    BIT(21)
#define EPT_CAP_INVEPT_ONE	    BIT(25)
#define EPT_CAP_INVEPT_ALL	    BIT(26)
#define EPT_CAP_INVVPID		    BIT(32)
#define EPT_CAP_INVVPID_ADDRESS	    BIT(40)
#define EPT_CAP_INVVPID_ONE	    BIT(41)
#define EPT_CAP_INVVPID_ALL	    BIT(42)
#define EPT_CAP_INVVPID_KEEP_GLOBAL BIT(43)

/* Types of INVEPT and INVVPID */
#define INVEPT_ONE	    1
#define INVEPT_ALL	    2
#define INVVPID_ADDRESS	    0
#define INVVPID_ONE	    1
#define INVVPID_ALL	    2
#define INVVPID_KEEP_GLOBAL 3

/* §25.4.1, table 25-2: access rights. AVL, L, D/B and G stand four bits higher than in struct
 * segment; an unusable register is one that was loaded with a null selector or never. */
#define AR_TYPE	     0x0000fu
#define AR_ACCESSED  0x00001u
#define AR_BUSY	     0x00002u /* TSS */
#define AR_WRITABLE  0x00002u /* data; readable of code */
#define AR_CONFORM   0x00004u /* code; expand-down of data */
#define AR_CODE	     0x00008u
#define AR_S	     0x00010u
#define AR_DPL_SHIFT 5
#define AR_DPL_MASK  3u
#define AR_P	     0x00080u
#define AR_AVL	     0x01000u
#define AR_L	     0x02000u
#define AR_DB	     0x04000u
#define AR_G	     0x08000u
#define AR_UNUSABLE  0x10000u
#define AR_RESERVED  0xfffe0f00u

/* struct segment's form of @rights. Unusable shows as not present; the DPL survives, since that of
 * SS is the CPL. */
static inline u16 vmx_attr_of_rights(u32 rights)
{
	u32 attr = (rights & 0xffu) | (rights & 0xf000u) >> 4;

	return (u16)(rights & AR_UNUSABLE ? attr & ~SEG_ATTR_P : attr);
}

/* The literal opposite: not present becomes unusable with only the DPL kept. What entries demand
 * beyond that (accessed, busy, granularity) is the caller's. */
static inline u32 vmx_rights_of_attr(u16 attr)
{
	if (!(attr & SEG_ATTR_P))
		return AR_UNUSABLE | (attr & (AR_DPL_MASK << AR_DPL_SHIFT));
	return (attr & 0xffu) | (attr & 0xf00u) << 4;
}

/* §25.11.2 */
enum vmcs_width { VMCS_16, VMCS_64, VMCS_32, VMCS_NATURAL };
static inline enum vmcs_width vmcs_field_width(u32 field)
{
	return (enum vmcs_width)(field >> 13 & 3);
}

#endif
