/* What POST says: one string instruction for a text on the channel's LOG.
 *
 * SPDX-License-Identifier: MIT
 */
#include "post.h"

void channel_log(const char *text)
{
	u32 n = 0;

	while (text[n])
		n++;
	outsb(BIOSCHAN_PORT_LOG, text, n);
}
