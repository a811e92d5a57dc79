/* Registers of an IOAPIC (82093AA data sheet) and what a redirection entry means, for the emulated
 * chip, the control partition's view of the real ones, and the driver of those.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_IOAPIC_REGS_H
#define HV_DEV_IOAPIC_REGS_H

#include "dev/apic_msg.h"

/* Memory window: offsets from the chip's base */
#define IOAPIC_INDEX	   0x00u
#define IOAPIC_DATA	   0x10u
#define IOAPIC_EOI	   0x40u /* from version 20h on */
#define IOAPIC_VERSION_EOI 0x20

/* Registers behind the index */
#define IOAPIC_REG_ID	       0x00u
#define IOAPIC_REG_VERSION     0x01u
#define IOAPIC_REG_ARBITRATION 0x02u
#define IOAPIC_REG_RTE	       0x10u /* two for each pin, low half first */
#define IOAPIC_VERSION(r)      ((u8)(r))
#define IOAPIC_VERSION_PINS(r) (((r) >> 16 & 0xff) + 1)

/* Redirection table entry */
#define RTE_VECTOR(e)  ((u8)(e))
#define RTE_MODE(e)    ((u8)((e) >> 8 & 7))
#define RTE_LOGICAL    BIT(11)
#define RTE_STATUS     BIT(12)
#define RTE_LOW	       BIT(13) /* active low */
#define RTE_REMOTE_IRR BIT(14)
#define RTE_LEVEL      BIT(15)
#define RTE_MASKED     BIT(16)
#define RTE_DEST_SHIFT 56
#define RTE_DEST(e)    ((u8)((e) >> RTE_DEST_SHIFT))
#define RTE_READ_ONLY  (RTE_STATUS | RTE_REMOTE_IRR)
#define RTE_WRITABLE   (0xff00000000000000ull | 0x1ffffu)

/* NMI, INIT, SMI and ExtINT are edges whatever the trigger bit says. */
static inline bool rte_level(u64 e)
{
	return (e & RTE_LEVEL) && RTE_MODE(e) <= APIC_LOWEST;
}

/* The message that entry @e sends. */
static inline struct apic_msg rte_msg(u64 e)
{
	return (struct apic_msg){
		.dest = RTE_DEST(e),
		.logical = e & RTE_LOGICAL,
		.mode = RTE_MODE(e),
		.vector = RTE_VECTOR(e),
		.level = rte_level(e),
	};
}

/* @e after software wrote @v to its half behind register @index. */
static inline u64 rte_written(u64 e, u8 index, u32 v)
{
	u64 value = index & 1 ? (u32)e | (u64)v << 32 : (e & ~0xffffffffull) | v;

	return (value & RTE_WRITABLE & ~RTE_READ_ONLY) | (e & RTE_READ_ONLY);
}

/* A read of @size bytes at @off of the window; @data is what the register behind @index reads. */
static inline u64 ioapic_window(u64 off, unsigned size, u8 index, u32 data)
{
	u32 v = (off & ~3ull) == IOAPIC_INDEX ? index : (off & ~3ull) == IOAPIC_DATA ? data : 0;

	v >>= (off & 3) * 8;
	return size >= 4 ? v : v & ((1u << size * 8) - 1);
}

#endif
