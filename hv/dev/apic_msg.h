/* An interrupt message between IOAPICs and local APICs, as it would travel on the APIC bus.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_APIC_MSG_H
#define HV_DEV_APIC_MSG_H

#include "penumbra/types.h"

/* Delivery modes; the encodings of ICR, LVT and IOAPIC redirection entries (SDM vol. 3 §11.6.1). */
enum apic_mode {
	APIC_FIXED = 0,
	APIC_LOWEST = 1,
	APIC_SMI = 2,
	APIC_RESERVED = 3,
	APIC_NMI = 4,
	APIC_INIT = 5,
	APIC_STARTUP = 6,
	APIC_EXTINT = 7,
};

/* ICR destination shorthands. */
enum apic_shorthand { APIC_DEST, APIC_SELF, APIC_ALL, APIC_OTHERS };

struct apic_msg {
	u32 dest;     /* APIC ID or logical destination */
	bool wide;    /* @dest is a 32-bit x2APIC destination, else 8 bits */
	bool logical; /* destination mode */
	u8 shorthand; /* enum apic_shorthand */
	u8 mode;      /* enum apic_mode */
	u8 vector;    /* start page for APIC_STARTUP */
	bool level;   /* trigger mode: level */
};

#endif
