/* Architectural names that several floors share: register numbers, segment form, control bits.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_LIB_X86_H
#define HV_LIB_X86_H

#include "penumbra/types.h"

/* In instruction-encoding order. */
enum emul_gpr {
	GPR_RAX,
	GPR_RCX,
	GPR_RDX,
	GPR_RBX,
	GPR_RSP,
	GPR_RBP,
	GPR_RSI,
	GPR_RDI,
	GPR_R8,
	GPR_R9,
	GPR_R10,
	GPR_R11,
	GPR_R12,
	GPR_R13,
	GPR_R14,
	GPR_R15,
	GPR_COUNT
};

enum emul_seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_COUNT };

/* A segment register with its hidden part. @attr packs descriptor bits 55:52 and 47:40: type 3:0,
 * S 4, DPL 6:5, P 7, AVL 8, L 9, D/B 10, G 11. */
struct segment {
	u16 sel;
	u16 attr;
	u32 limit; /* in bytes, expanded */
	u64 base;
};

#define SEL_RPL_TI 7u /* selector: requested privilege level, table */

#define SEG_ATTR_TYPE	   0x00fu
#define SEG_ATTR_S	   0x010u
#define SEG_ATTR_DPL_SHIFT 5
#define SEG_ATTR_P	   0x080u
#define SEG_ATTR_L	   0x200u
#define SEG_ATTR_DB	   0x400u
#define SEG_ATTR_G	   0x800u

#define CR0_PE 0x00000001ull
#define CR0_MP 0x00000002ull
#define CR0_EM 0x00000004ull
#define CR0_TS 0x00000008ull
#define CR0_ET 0x00000010ull
#define CR0_NE 0x00000020ull
#define CR0_WP 0x00010000ull
#define CR0_AM 0x00040000ull
#define CR0_NW 0x20000000ull
#define CR0_CD 0x40000000ull
#define CR0_PG 0x80000000ull

#define CR4_VME	       0x00000001ull
#define CR4_PVI	       0x00000002ull
#define CR4_TSD	       0x00000004ull
#define CR4_DE	       0x00000008ull
#define CR4_PSE	       0x00000010ull
#define CR4_PAE	       0x00000020ull
#define CR4_MCE	       0x00000040ull
#define CR4_PGE	       0x00000080ull
#define CR4_PCE	       0x00000100ull
#define CR4_OSFXSR     0x00000200ull
#define CR4_OSXMMEXCPT 0x00000400ull
#define CR4_UMIP       0x00000800ull
#define CR4_LA57       0x00001000ull
#define CR4_VMXE       0x00002000ull
#define CR4_FSGSBASE   0x00010000ull
#define CR4_PCIDE      0x00020000ull
#define CR4_OSXSAVE    0x00040000ull
#define CR4_SMEP       0x00100000ull
#define CR4_SMAP       0x00200000ull
#define CR4_PKE	       0x00400000ull

#define EFER_SCE   0x0001ull
#define EFER_LME   0x0100ull
#define EFER_LMA   0x0400ull
#define EFER_NXE   0x0800ull
#define EFER_FFXSR 0x4000ull

#define RFLAGS_FIXED 0x2ull
#define RFLAGS_CF    0x1ull
#define RFLAGS_TF    0x100ull
#define RFLAGS_IF    0x200ull
#define RFLAGS_DF    0x400ull
#define RFLAGS_VM    0x20000ull
#define RFLAGS_RF    0x10000ull
#define RFLAGS_AC    0x40000ull
#define RFLAGS_RSVD  (~0x3f7fd7ull) /* 0 in every CPU */

/* Entries of page tables (SDM vol. 3 §4, APM vol. 2 §5.3): the bits with one meaning everywhere. */
#define PTE_P	 BIT(0)
#define PTE_W	 BIT(1)
#define PTE_U	 BIT(2)
#define PTE_A	 BIT(5)
#define PTE_D	 BIT(6)
#define PTE_PS	 BIT(7)
#define PTE_NX	 BIT(63)
#define PTE_ADDR 0x000ffffffffff000ull

#define INSN_MAX 15u /* bytes of the longest instruction */
#define REX_W	 8u
#define REX_R	 4u
#define REX_X	 2u
#define REX_B	 1u

/* CPUID */
#define CPUID_1_ECX_XSAVE   BIT(26)
#define CPUID_1_ECX_OSXSAVE BIT(27)
#define CPUID_1_ECX_AVX	    BIT(28)
#define CPUID_EXT_FEATURES  0x80000001u

/* Model-specific registers that more than one file uses */
#define MSR_TSC		   0x10u
#define MSR_APIC_BASE	   0x1bu
#define MSR_MTRR_CAP	   0xfeu
#define MSR_SYSENTER_CS	   0x174u
#define MSR_SYSENTER_ESP   0x175u
#define MSR_SYSENTER_EIP   0x176u
#define MSR_MTRR_VAR	   0x200u /* base, mask of each range */
#define MSR_PAT		   0x277u
#define MSR_MTRR_DEF	   0x2ffu
#define MSR_TSC_DEADLINE   0x6e0u
#define MSR_EFER	   0xc0000080u
#define MSR_STAR	   0xc0000081u
#define MSR_LSTAR	   0xc0000082u
#define MSR_CSTAR	   0xc0000083u
#define MSR_SFMASK	   0xc0000084u
#define MSR_FS_BASE	   0xc0000100u
#define MSR_GS_BASE	   0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX	   0xc0000103u

/* Values in them */
#define APIC_BASE_ADDR	     0x000ffffffffff000ull
#define FEATURE_CONTROL_LOCK BIT(0)
#define PAT_RESET	     0x0007040600070406ull

enum x86_vector {
	VEC_DE = 0,
	VEC_DB = 1,
	VEC_NMI = 2,
	VEC_BP = 3,
	VEC_OF = 4,
	VEC_BR = 5,
	VEC_UD = 6,
	VEC_NM = 7,
	VEC_DF = 8,
	VEC_TS = 10,
	VEC_NP = 11,
	VEC_SS = 12,
	VEC_GP = 13,
	VEC_PF = 14,
	VEC_MF = 16,
	VEC_AC = 17,
	VEC_MC = 18,
	VEC_XM = 19,
};

#endif
