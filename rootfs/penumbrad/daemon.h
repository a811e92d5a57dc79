/* The daemon: one event loop between the channel's rings and Linux.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PENUMBRAD_DAEMON_H
#define PENUMBRAD_DAEMON_H

#include "blk.h"
#include "calls.h"
#include "console.h"
#include "net.h"
#include "server.h"

struct daemon_options {
	const struct transport_ops *transport;
	const struct aio_ops *aio; /* NULL: the best there is */
	const char *socket;	   /* path of the control socket */
	const char *logs;	   /* directory */
	u64 log_max;		   /* bytes */
	const char *const *search; /* directories for `file:`, NULL ends */
	bool on_medium_only;	   /* images and logs may not lie in the file system of / */
	u64 open_patience_ns;	   /* how long an OPEN waits for its medium */
	unsigned pages;		   /* of the area */
};

/* What a run came to; also the exit status of the program. */
enum daemon_end {
	DAEMON_STOPPED = 0,
	DAEMON_FAILED = 1,  /* could not start, said */
	DAEMON_RESTART = 3, /* the channel broke, said: start again */
};

/* Serve until SIGTERM or SIGINT. */
enum daemon_end daemon_run(const struct daemon_options *options);

#endif
