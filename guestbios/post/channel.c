/* POST's reads of the channel: one string instruction for the whole configuration.
 *
 * SPDX-License-Identifier: MIT
 */
#include "post.h"

bool channel_config(struct bios_config *cfg)
{
	static const char want[8] = BIOSCHAN_SIGNATURE_TEXT;
	char got[8];

	outw(BIOSCHAN_PORT_SELECT, BIOSCHAN_SIGNATURE);
	insb(BIOSCHAN_PORT_DATA, got, sizeof(got));
	for (u32 i = 0; i < sizeof(got); i++)
		if (got[i] != want[i])
			return false;
	outw(BIOSCHAN_PORT_SELECT, BIOSCHAN_CONFIG);
	insb(BIOSCHAN_PORT_DATA, cfg, sizeof(*cfg));
	outb(BIOSCHAN_PORT_EVENT, BIOS_EVENT_POST);
	return true;
}
