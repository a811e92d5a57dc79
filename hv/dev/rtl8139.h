/* Realtek RTL8139C Fast Ethernet controller: the NIC that systems without virtio know. RTL8139C(L)
 * data sheet, rev. 1.4 (registers: ch. 6, EEPROM: ch. 7, receive buffer: ch. 5.7); IEEE 802.3 ch.
 * 22 for the PHY.
 *
 * Four transmit buffers used in turn, one receive ring in guest memory. Not there: descriptor mode
 * (8139C+), wake-up, power management, CardBus, writing the EEPROM. The frame check sequence that
 * the chip leaves behind each received frame is zero: back ends bring frames without one, and no
 * driver looks. A full receive ring holds frames back in the back end instead of losing them;
 * frames that a driver acknowledges and leaves there it is told of again.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_RTL8139_H
#define HV_DEV_RTL8139_H

#include "dev/net.h"
#include "dev/pci.h"

#define RTL8139_REGS 256u
#define RTL8139_TX   4u

struct rtl8139_eeprom {
	u16 word[64];
	u8 pins;     /* CS, SK, DI as last driven */
	u32 shifted; /* bits taken since the start bit, which is the first one */
	u16 out;     /* word going out */
	u8 bits_out; /* of it, bits left */
	u8 address;
	bool reading, busy; /* a command is complete; not a read */
	bool data;	    /* DO */
};

struct rtl8139 {
	struct pci_dev pci;
	const struct dev_host *host;
	struct net *net;
	/* Registers as they read; those that depend on something are brought up to date before. */
	u8 reg[RTL8139_REGS];
	u8 wmask[RTL8139_REGS];
	u8 tx_next;    /* transmit buffer that the chip takes next */
	u8 tx_pending; /* bit n: buffer n waits to be sent */
	bool tx_full, rx_full;
	struct timer rx_again; /* to tell of unread frames */
	u64 timer_zero;	       /* ns at which TCTR was 0 */
	struct timer timer;
	struct rtl8139_eeprom eeprom;
	u64 tx_frames, rx_frames, rx_filtered;
};

/* Plug in at @slot of @b and attach to @net. 0 or pci_bus_add()'s error. */
int rtl8139_init(struct rtl8139 *d, const struct dev_host *host, struct pci_bus *b, unsigned slot,
		 struct net *net);
void rtl8139_reset(struct rtl8139 *d);

/* --- the EEPROM (93C46), rtl8139_eeprom.c --- */
void rtl8139_eeprom_init(struct rtl8139_eeprom *e, const u8 mac[NET_MAC_LEN]);
/* Pins as register 9346CR has them; returns DO. */
#define RTL8139_EE_CS 0x08u
#define RTL8139_EE_SK 0x04u
#define RTL8139_EE_DI 0x02u
bool rtl8139_eeprom_drive(struct rtl8139_eeprom *e, u8 pins);

#endif
