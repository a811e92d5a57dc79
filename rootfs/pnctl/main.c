/* pnctl: manages the guests from the control partition.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>

#include "pnctl.h"

int main(int argc, char **argv)
{
	int status = pnctl_main(argc, argv);

	/* Output that could not be written is a command not done. */
	return fflush(stdout) && status == PNCTL_DONE ? PNCTL_FAILED : status;
}
