/* Access to live vector registers; the moves themselves are in vecregs.S.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/vecregs.h"

void vecreg_store16(unsigned reg, void *buf);
void vecreg_load16(unsigned reg, const void *buf);
void vecreg_store32(unsigned reg, void *buf);
void vecreg_load32(unsigned reg, const void *buf);

void vecreg_read(unsigned reg, void *buf, unsigned len)
{
	if (len == 32)
		vecreg_store32(reg, buf);
	else
		vecreg_store16(reg, buf);
}

void vecreg_write(unsigned reg, const void *buf, unsigned len)
{
	if (len == 32)
		vecreg_load32(reg, buf);
	else
		vecreg_load16(reg, buf);
}
