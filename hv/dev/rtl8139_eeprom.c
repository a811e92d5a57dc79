/* The RTL8139's serial EEPROM, a 93C46 of 64 words: what a driver reads the MAC address from.
 * Commands are a start bit, two bits of operation, six of address. Everything but READ is taken and
 * ignored.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/rtl8139.h"
#include "lib/str.h"

#define COMMAND_BITS 9
#define OP_READ	     2u

/* Words that drivers read (data sheet ch. 7) */
enum { W_ID = 0, W_VENDOR, W_DEVICE, W_SUB_VENDOR, W_SUB_DEVICE, W_GRANT, W_CONFIG3, W_MAC };
#define REALTEK_EEPROM 0x8129

void rtl8139_eeprom_init(struct rtl8139_eeprom *e, const u8 mac[NET_MAC_LEN])
{
	memset(e, 0, sizeof(*e));
	e->word[W_ID] = REALTEK_EEPROM;
	e->word[W_VENDOR] = e->word[W_SUB_VENDOR] = 0x10ec;
	e->word[W_DEVICE] = e->word[W_SUB_DEVICE] = 0x8139;
	e->word[W_GRANT] = 0x4020;
	for (unsigned i = 0; i < NET_MAC_LEN / 2; i++)
		e->word[W_MAC + i] = (u16)(mac[2 * i] | mac[2 * i + 1] << 8);
}

static void begin_word(struct rtl8139_eeprom *e)
{
	e->out = e->word[e->address++ % ARRAY_SIZE(e->word)];
	e->bits_out = 16;
}

/* The command's last bit brings out a zero; the word follows it. */
static void command(struct rtl8139_eeprom *e)
{
	e->reading = (e->shifted >> 6 & 3) == OP_READ;
	e->busy = !e->reading;
	e->address = e->shifted & 63;
	e->data = !e->reading; /* a write is done at once: DO says ready */
	if (e->reading)
		begin_word(e);
}

static void clock_in(struct rtl8139_eeprom *e, bool bit)
{
	if (!e->shifted && !bit)
		return; /* before the start bit */
	e->shifted = e->shifted << 1 | bit;
	if (e->shifted >> (COMMAND_BITS - 1))
		command(e);
}

static void clock_out(struct rtl8139_eeprom *e)
{
	if (!e->bits_out)
		begin_word(e);
	e->data = e->out >> --e->bits_out & 1;
}

bool rtl8139_eeprom_drive(struct rtl8139_eeprom *e, u8 pins)
{
	bool rise = (pins & ~e->pins) & RTL8139_EE_SK;

	e->pins = pins;
	if (!(pins & RTL8139_EE_CS)) {
		e->shifted = 0;
		e->reading = e->busy = false;
		e->data = true; /* high impedance, pulled up */
	} else if (rise && e->reading) {
		clock_out(e);
	} else if (rise && !e->busy) {
		clock_in(e, pins & RTL8139_EE_DI);
	}
	return e->data;
}
