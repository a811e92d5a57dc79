/* Virtio network device (Virtio 1.1 §5.1): one receive and one transmit queue, no control queue and
 * no offloads, so that a frame is a frame. It receives everything its back end brings.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_VNET_H
#define HV_DEV_VNET_H

#include "dev/net.h"
#include "dev/virtio.h"

#define VNET_QUEUE    256u
#define VNET_RX	      0u
#define VNET_TX	      1u
#define VNET_RX_SEGS  32u /* pieces of one receive buffer */
#define VNET_RX_MERGE 64u /* receive buffers that one frame may take */

struct vnet {
	struct virtio v;
	struct net *net;
	bool tx_full; /* the back end had no room */
	bool rx_full; /* the guest had no buffer */
	u64 tx_frames, tx_dropped, rx_frames, rx_dropped;
};

/* Plug in at @slot of @b and attach to @net. 0 or pci_bus_add()'s error. */
int vnet_init(struct vnet *d, const struct dev_host *host, struct pci_bus *b, unsigned slot,
	      struct net *net);
void vnet_reset(struct vnet *d);

#endif
