/* The command line of pncollect.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PNCOLLECT_OPTIONS_H
#define PNCOLLECT_OPTIONS_H

#include "penumbra/types.h"

enum command { COMMAND_COLLECT, COMMAND_SPLIT, COMMAND_CHECK, COMMAND_TRACE };

struct options {
	enum command command;
	const char *line; /* the line or file */
	const char *dir;
	const char *wait; /* NULL: to the end of the line */
	char send[256];	  /* typed once the hypervisor is heard */
	size_t send_len;
	unsigned baud;
	unsigned timeout_s; /* 0: none */
	bool interactive, ask, force, quiet;
};

/* 0, or -EINVAL after a message. */
int options_parse(struct options *o, int argc, char **argv);

#endif
