/* The entries of the IDT.
 *
 * SPDX-License-Identifier: MIT
 */
#include "lib/trap_stubs.h"

	.text
	.code64
	TRAP_STUBS trap_dispatch
	.section .note.GNU-stack, "", @progbits
