/* Which chips a board has where there is a choice.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_MODELS_H
#define HV_DEV_MODELS_H

enum disk_model { DISK_IDE, DISK_VIRTIO, DISK_MODELS };
enum nic_model { NIC_RTL8139, NIC_VIRTIO, NIC_MODELS };

#endif
