/* The hypervisor's end of the control channel: the PCI function with everything that uses it, and
 * what pnctl may ask (docs/channel.md).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_CTL_H
#define HV_CORE_CTL_H

#include "chan/blk_chan.h"
#include "chan/channel.h"
#include "chan/con_chan.h"
#include "chan/net_chan.h"

struct partition;

/* Build the channel for the control partition @control; the caller places &ctl_channel()->pci on
 * its PCI bus. Boot CPU. -ENOMEM. */
int ctl_init(struct partition *control);
struct channel *ctl_channel(void);
struct blk_hub *ctl_blk(void);
struct net_hub *ctl_net(void);
/* A daemon is there. Any CPU. */
bool ctl_attached(void);
/* Guests are gone whose media the control partition is writing back, or can. Any CPU. */
bool ctl_writes_back(void);
/* On the control partition's CPU: what waits in the rings, interrupt, streams. In its service(),
 * after REQUEST_CHANNEL. */
void ctl_poll(void);
/* From any CPU: have ctl_poll() called. */
void ctl_wake(void);
/* The control partition has ended: nothing of its memory is touched any more. */
void ctl_stop(void);

/* Taps of the log (log.c), under its lock, any CPU. Nothing before ctl_init(). */
void ctl_output(unsigned index, bool screen, const char *buf, size_t len);
void ctl_hv_line(const char *buf, size_t len);
void ctl_record(const char *line, size_t len);

#endif
