/* Kernel modules on demand.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef ROOTFS_LIB_MODPROBE_H
#define ROOTFS_LIB_MODPROBE_H

/* Load a kernel module and wait for that. 0, or -1 if modprobe said no or is not there. */
int modprobe(const char *module);

#endif
