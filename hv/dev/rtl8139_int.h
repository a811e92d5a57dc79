/* The RTL8139's parts among themselves: registers, receiver (rtl8139_rx.c), transmitter
 * (rtl8139_tx.c). See rtl8139.h.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_RTL8139_INT_H
#define HV_DEV_RTL8139_INT_H

#include "dev/rtl8139.h"
#include "lib/le.h"

/* Registers */
#define IDR0	 0x00u
#define MAR0	 0x08u
#define TSD0	 0x10u /* transmit status, 4 of 4 bytes */
#define TSAD0	 0x20u /* transmit address, 4 of 4 bytes */
#define RBSTART	 0x30u
#define CR	 0x37u
#define CAPR	 0x38u
#define CBR	 0x3au
#define IMR	 0x3cu
#define ISR	 0x3eu
#define TCR	 0x40u
#define RCR	 0x44u
#define TCTR	 0x48u
#define MPC	 0x4cu
#define EECR	 0x50u /* 9346CR */
#define CONFIG1	 0x52u
#define TIMERINT 0x54u
#define MSR	 0x58u
#define CONFIG3	 0x59u
#define CONFIG4	 0x5au
#define MULINT	 0x5cu
#define RERID	 0x5eu
#define TSAD	 0x60u /* transmit status of all */
#define BMCR	 0x62u
#define BMSR	 0x64u
#define ANAR	 0x66u
#define ANLPAR	 0x68u
#define ANER	 0x6au
#define CSCR	 0x74u

#define TSD_SIZE 0x1fffu
#define TSD_OWN	 0x2000u /* the chip is done with the buffer */
#define TSD_TOK	 0x8000u
#define TSD_TABT 0x40000000u

#define CR_BUFE 0x01u
#define CR_TE	0x04u
#define CR_RE	0x08u
#define CR_RST	0x10u

#define ISR_ROK	    0x0001u
#define ISR_TOK	    0x0004u
#define ISR_TER	    0x0008u
#define ISR_LINK    0x0020u
#define ISR_TIMEOUT 0x4000u

#define TCR_VERSION  0x74000000u /* 8139C */
#define TCR_LOOPBACK 0x00060000u

#define RCR_AAP	  0x01u
#define RCR_APM	  0x02u
#define RCR_AM	  0x04u
#define RCR_AB	  0x08u
#define RCR_WRAP  0x80u
#define RCR_RBLEN 0x1800u

/* CAPR runs this far behind the driver's real position. */
#define CAPR_LAG 16u

static inline u16 rtl_get16(const struct rtl8139 *d, unsigned off)
{
	return le_get16(d->reg + off);
}
static inline u32 rtl_get32(const struct rtl8139 *d, unsigned off)
{
	return le_get32(d->reg + off);
}
static inline void rtl_put16(struct rtl8139 *d, unsigned off, u16 v)
{
	le_put16(d->reg + off, v);
}
static inline void rtl_put32(struct rtl8139 *d, unsigned off, u32 v)
{
	le_put32(d->reg + off, v);
}

/* --- interrupt: rtl8139.c --- */

/* INTx follows ISR and IMR: after a change of either. */
void rtl8139_irq_update(struct rtl8139 *d);
void rtl8139_raise(struct rtl8139 *d, u16 cause);

/* --- receiver --- */

/* Bytes in the ring that the driver has not taken yet. */
u32 rtl8139_ring_used(const struct rtl8139 *d);
/* A frame reaches the chip, from the back end or by loopback. False: no room in the ring. */
bool rtl8139_receive(struct rtl8139 *d, const void *frame, u32 len);
/* net_nic_ops.rx */
bool rtl8139_on_rx(void *ctx, const void *frame, u32 len);
/* The driver made room, or will not need it any more. */
void rtl8139_rx_resume(struct rtl8139 *d);
/* ISR was written; IMR was. */
void rtl8139_rx_acknowledged(struct rtl8139 *d);
void rtl8139_rx_enabled(struct rtl8139 *d);
/* timer.fire */
void rtl8139_rx_again_fire(void *arg, u64 now_ns);

/* --- transmitter --- */

/* Send what waits, in turn, as long as there is room. */
void rtl8139_tx_run(struct rtl8139 *d);
/* The status register of buffer @n was written. */
void rtl8139_tsd_written(struct rtl8139 *d, unsigned n);
/* TSAD's value. */
u16 rtl8139_tx_summary(const struct rtl8139 *d);
/* net_nic_ops.tx_ready */
void rtl8139_on_tx_ready(void *ctx);

#endif
