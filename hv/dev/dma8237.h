/* The two 8237A DMA controllers of a PC and its page registers (ports 00-0F, C0-DF, 80-8F).
 *
 * No device of this board asks for ISA DMA, so no transfer ever happens: the chips are their
 * registers. Systems program and read them at start-up; page registers without a channel (80h,
 * 84h-86h, 88h, 8Ch-8Eh) are the scratch bytes that POST codes and I/O delays write to.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_DMA8237_H
#define HV_DEV_DMA8237_H

#include "dev/dev.h"

#define DMA1_PORT     0x00
#define DMA2_PORT     0xc0 /* registers at even ports */
#define DMA_PAGE_PORT 0x80
/* Register offsets */
#define DMA_STATUS     8 /* read; command write */
#define DMA_REQUEST    9
#define DMA_MASK_ONE   10
#define DMA_MODE       11
#define DMA_CLEAR_FF   12
#define DMA_TEMP       13 /* read; master clear write */
#define DMA_CLEAR_MASK 14
#define DMA_MASK_ALL   15

struct dma_chip {
	u16 base[8]; /* address, count of channels 0-3, as last written */
	bool msb;    /* byte pointer */
	u8 command, request, mask;
	u8 mode[4];
};

struct dma8237 {
	struct dma_chip chip[2];
	u8 page[16];
};

/* 0, or what bus_add_port() says. */
int dma8237_init(struct dma8237 *d, struct bus *bus);
void dma8237_reset(struct dma8237 *d);

#endif
