/* What pnctl and penumbrad say to each other over /run/penumbrad.sock, a SOCK_SEQPACKET socket:
 * one message, one packet.
 *
 * A client sends one struct pn_request with its text behind it, and gets struct chan_ctl_reply
 * packets until one of kind CHAN_REPLY_END; then it may ask again. After PN_CONSOLE both sides
 * send struct chan_con packets (cut behind @len bytes of data) until the client closes.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef ROOTFS_LIB_PNCTL_PROTO_H
#define ROOTFS_LIB_PNCTL_PROTO_H

#include "penumbra/channel.h"

#define PN_SOCKET	 "/run/penumbrad.sock"
#define PN_REQUEST_MAGIC 0x51434e50u /* "PNCQ" */

/* Operations of the daemon's own, beside those of enum chan_ctl_op. */
enum pn_op {
	PN_CONSOLE = 0x100, /* @name: history, then what comes */
	PN_DAEMON,	    /* TEXT rows: media, ports, logs of the daemon */
	PN_TRACE_DUMP,	    /* rows of kind PN_REPLY_TRACE */
};
/* A reply with whole struct trace_entry in data. */
#define PN_REPLY_TRACE 0x100

struct pn_request {
	u32 magic;
	u32 op; /* enum chan_ctl_op or pn_op */
	u64 arg, arg2;
	char name[CHAN_NAME_SIZE];
	u32 len; /* of the text that follows, at most CHAN_TEXT_MAX */
	u32 reserved;
};
_Static_assert(sizeof(struct pn_request) == 56, "no padding");

#endif
