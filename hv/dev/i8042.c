/* 8042 keyboard controller and its keyboard. See i8042.h; keys and typing are in i8042_keys.c.
 *
 * Bytes travel: keyboard queue -> wire (one at a time, I8042_BYTE_NS each) -> translation -> output
 * buffer. The controller's own answers go straight to the output buffer.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/i8042.h"

#include "dev/i8042_keys.h"
#include "dev/port8.h"
#include "lib/str.h"

/* Controller commands (port 64h) */
enum {
	CMD_READ_RAM = 0x20,  /* 20-3F */
	CMD_WRITE_RAM = 0x60, /* 60-7F, byte follows */
	CMD_TEST_PASSWORD = 0xa4,
	CMD_AUX_OFF = 0xa7,
	CMD_AUX_ON = 0xa8,
	CMD_AUX_TEST = 0xa9,
	CMD_SELF_TEST = 0xaa,
	CMD_KBD_TEST = 0xab,
	CMD_KBD_OFF = 0xad,
	CMD_KBD_ON = 0xae,
	CMD_READ_INPUT = 0xc0,
	CMD_READ_OUTPUT = 0xd0,
	CMD_WRITE_OUTPUT = 0xd1, /* byte follows */
	CMD_WRITE_OBF = 0xd2,	 /* byte follows: as if from the keyboard */
	CMD_WRITE_AUX_OBF = 0xd3,
	CMD_WRITE_AUX = 0xd4,
	CMD_A20_OFF = 0xdd,
	CMD_A20_ON = 0xdf,
	CMD_READ_TEST = 0xe0,
	CMD_PULSE = 0xf0, /* F0-FF: pulse output lines whose bit is 0 */
};

/* Keyboard commands (port 60h) and answers */
enum {
	KBD_LEDS = 0xed,
	KBD_ECHO = 0xee,
	KBD_SCAN_SET = 0xf0,
	KBD_ID = 0xf2,
	KBD_TYPEMATIC = 0xf3,
	KBD_ENABLE = 0xf4,
	KBD_DISABLE = 0xf5,
	KBD_DEFAULTS = 0xf6,
	KBD_ALL_FIRST = 0xf7, /* F7-FA: key behaviour of set 3, all keys */
	KBD_KEY_FIRST = 0xfb, /* FB-FD: of one key, which follows */
	KBD_RESEND = 0xfe,
	KBD_RESET = 0xff,
	KBD_ACK = 0xfa,
	KBD_BAT_OK = 0xaa,
};

#define SELF_TEST_OK	 0x55
#define NO_PASSWORD	 0xf1
#define KBD_INTERFACE_OK 0x00
#define AUX_CLOCK_LOW	 0x01 /* nothing is plugged in */
#define INPUT_PORT	 0x80 /* keyboard not locked */

static bool kbd_off(const struct i8042 *k)
{
	return k->ram[0] & I8042_CB_KBD_OFF;
}

static void update_irq(struct i8042 *k)
{
	irq_line_set(&k->irq1, k->obf && (k->ram[0] & I8042_CB_INT));
}

/* Take bytes off the wire until one of them reaches the output buffer. */
static void receive(struct i8042 *k)
{
	while (!k->obf && k->count && !kbd_off(k)) {
		if (dev_now(k->host) < k->next_byte_ns) {
			dev_timer_set(k->host, &k->wire, k->next_byte_ns);
			return;
		}
		k->obf = k->obf_is_kbd = i8042_from_wire(k, k->queue[k->head], &k->data);
		k->head = (k->head + 1) % I8042_QUEUE;
		k->count--;
	}
}

/* Put the next byte that is there into the free output buffer: answers before keys. */
static void refill(struct i8042 *k)
{
	if (!k->obf && k->nreply) {
		k->data = k->reply[0];
		k->reply[0] = k->reply[1];
		k->nreply--;
		k->obf = true;
		k->obf_is_kbd = false;
	}
	receive(k);
	update_irq(k);
}

static void wire_free(void *arg, u64 now_ns)
{
	(void)now_ns;
	refill(arg);
}

/* --- the keyboard ----------------------------------------------------------------------------- */

void i8042_queue(struct i8042 *k, u8 byte)
{
	if (k->count == I8042_QUEUE)
		return;
	k->queue[(k->head + k->count++) % I8042_QUEUE] = byte;
	k->last_sent = byte;
	refill(k);
}

static void kbd_flush(struct i8042 *k)
{
	k->head = k->count = 0;
	k->xlate_break = false;
}

static void kbd_defaults(struct i8042 *k)
{
	k->scan_set = 2;
	k->typematic = 0x2b; /* 10.9 per second after 500 ms */
	k->leds = 0;
	k->kbd_cmd = 0;
}

/* The byte that a command was waiting for. */
static void kbd_parameter(struct i8042 *k, u8 value)
{
	u8 cmd = k->kbd_cmd;

	k->kbd_cmd = 0;
	i8042_queue(k, KBD_ACK);
	switch (cmd) {
	case KBD_LEDS:
		k->leds = value & 7;
		break;
	case KBD_TYPEMATIC:
		k->typematic = value & 0x7f;
		break;
	case KBD_SCAN_SET:
		if (!value)
			i8042_queue(k, k->scan_set);
		else if (value <= 3)
			k->scan_set = value;
		break;
	default: /* FB-FD take keys until the next command */
		k->kbd_cmd = cmd;
		break;
	}
}

static void kbd_command(struct i8042 *k, u8 value)
{
	u8 last = k->last_sent;

	k->kbd_cmd = 0;
	if (value == KBD_ECHO) {
		i8042_queue(k, KBD_ECHO);
		return;
	}
	if (value == KBD_RESEND) {
		i8042_queue(k, last);
		return;
	}
	if (value < KBD_LEDS || value == 0xef || value == 0xf1) {
		i8042_queue(k, KBD_RESEND); /* no such command */
		return;
	}
	if ((value >= KBD_ENABLE && value <= KBD_DEFAULTS) || value == KBD_RESET)
		kbd_flush(k);
	if (value == KBD_DISABLE || value == KBD_DEFAULTS || value == KBD_RESET)
		kbd_defaults(k);
	i8042_queue(k, KBD_ACK);
	switch (value) {
	case KBD_ID:
		i8042_queue(k, 0xab);
		i8042_queue(k, 0x83);
		break;
	case KBD_ENABLE:
	case KBD_DEFAULTS:
		k->scanning = true;
		break;
	case KBD_DISABLE:
		k->scanning = false;
		break;
	case KBD_RESET:
		k->scanning = true;
		i8042_queue(k, KBD_BAT_OK);
		break;
	case KBD_LEDS:
	case KBD_TYPEMATIC:
	case KBD_SCAN_SET:
	case KBD_KEY_FIRST:
	case KBD_KEY_FIRST + 1:
	case KBD_KEY_FIRST + 2:
		k->kbd_cmd = value;
		break;
	}
}

/* A byte to the keyboard. Commands interrupt a command that waits for its parameter. */
static void kbd_write(struct i8042 *k, u8 value)
{
	k->ram[0] &= ~I8042_CB_KBD_OFF; /* sending releases the clock */
	if (k->kbd_cmd && value < KBD_LEDS)
		kbd_parameter(k, value);
	else
		kbd_command(k, value);
}

/* --- the controller --------------------------------------------------------------------------- */

/* Answer a command at once. A key that lies unread in the output buffer comes back after it. */
static void reply(struct i8042 *k, u8 value)
{
	k->nreply = 0;
	k->reply[k->nreply++] = value;
	if (k->obf && k->obf_is_kbd)
		k->reply[k->nreply++] = k->data;
	k->obf = false;
	refill(k);
}

static void write_output(struct i8042 *k, u8 value)
{
	u8 changed = k->out_port ^ value;

	k->out_port = value;
	if (changed & I8042_OUT_A20)
		irq_line_set(&k->a20, value & I8042_OUT_A20);
	if (!(value & I8042_OUT_RESET))
		k->host->ops->machine_event(k->host->ctx, MACHINE_RESET_8042, 0);
}

static void write_ram(struct i8042 *k, unsigned at, u8 value)
{
	k->ram[at] = value;
	if (at)
		return;
	k->sys = value & I8042_CB_SYS;
	update_irq(k);
	refill(k);
}

/* Output port as read: OBF of both kinds shows there too. */
static u8 read_output(const struct i8042 *k)
{
	return k->out_port | (k->obf ? 0x10 : 0);
}

static void command(struct i8042 *k, u8 value)
{
	k->pending_cmd = 0;
	switch (value) {
	case CMD_READ_RAM ... CMD_READ_RAM + 31:
		reply(k, k->ram[value & 31]);
		break;
	case CMD_WRITE_RAM ... CMD_WRITE_RAM + 31:
	case CMD_WRITE_OUTPUT:
	case CMD_WRITE_OBF:
	case CMD_WRITE_AUX_OBF:
	case CMD_WRITE_AUX:
		k->pending_cmd = value;
		break;
	case CMD_TEST_PASSWORD:
		reply(k, NO_PASSWORD);
		break;
	case CMD_AUX_OFF:
		write_ram(k, 0, k->ram[0] | I8042_CB_AUX_OFF);
		break;
	case CMD_AUX_ON:
		write_ram(k, 0, k->ram[0] & ~I8042_CB_AUX_OFF);
		break;
	case CMD_AUX_TEST:
		reply(k, AUX_CLOCK_LOW);
		break;
	case CMD_SELF_TEST:
		write_ram(k, 0, k->ram[0] | I8042_CB_SYS);
		reply(k, SELF_TEST_OK);
		break;
	case CMD_KBD_TEST:
		reply(k, KBD_INTERFACE_OK);
		break;
	case CMD_KBD_OFF:
		write_ram(k, 0, k->ram[0] | I8042_CB_KBD_OFF);
		break;
	case CMD_KBD_ON:
		write_ram(k, 0, k->ram[0] & ~I8042_CB_KBD_OFF);
		break;
	case CMD_READ_INPUT:
		reply(k, INPUT_PORT);
		break;
	case CMD_READ_OUTPUT:
		reply(k, read_output(k));
		break;
	case CMD_A20_OFF:
		write_output(k, k->out_port & ~I8042_OUT_A20);
		break;
	case CMD_A20_ON:
		write_output(k, k->out_port | I8042_OUT_A20);
		break;
	case CMD_READ_TEST:
		reply(k, 0);
		break;
	case CMD_PULSE ... CMD_PULSE + 15:
		if (!(value & I8042_OUT_RESET))
			k->host->ops->machine_event(k->host->ctx, MACHINE_RESET_8042, 0);
		break;
	}
}

/* The byte that a controller command was waiting for. D3 answers as if from the keyboard: there is
 * no auxiliary port that could; D4's byte goes nowhere. */
static void command_data(struct i8042 *k, u8 cmd, u8 value)
{
	k->pending_cmd = 0;
	switch (cmd) {
	case CMD_WRITE_OUTPUT:
		write_output(k, value);
		break;
	case CMD_WRITE_OBF:
	case CMD_WRITE_AUX_OBF:
		reply(k, value);
		break;
	case CMD_WRITE_AUX:
		break;
	default:
		write_ram(k, cmd & 31, value);
		break;
	}
}

/* --- ports ------------------------------------------------------------------------------------ */

static u8 read_data(struct i8042 *k)
{
	u8 value = k->data;

	if (!k->obf)
		return value;
	k->obf = false;
	k->next_byte_ns = dev_now(k->host) + I8042_BYTE_NS;
	update_irq(k);
	refill(k);
	return value;
}

static u8 read_status(const struct i8042 *k)
{
	return (u8)(I8042_STS_UNLOCKED | (k->obf ? I8042_STS_OBF : 0) |
		    (k->sys ? I8042_STS_SYS : 0) | (k->last_was_cmd ? I8042_STS_CMD : 0));
}

static u8 read8(void *dev, u16 port)
{
	return port == I8042_DATA ? read_data(dev) : read_status(dev);
}

static void write8(void *dev, u16 port, u8 value)
{
	struct i8042 *k = dev;

	k->last_was_cmd = port == I8042_CMD;
	if (k->last_was_cmd)
		command(k, value);
	else if (k->pending_cmd)
		command_data(k, k->pending_cmd, value);
	else
		kbd_write(k, value);
}

static u32 port_read(void *dev, u16 port, unsigned size)
{
	return port8_read(read8, dev, port, size);
}

static void port_write(void *dev, u16 port, unsigned size, u32 value)
{
	port8_write(write8, dev, port, size, value);
}

static const struct port_ops i8042_ops = {.read = port_read, .write = port_write};

void i8042_reset(struct i8042 *k)
{
	memset(k->ram, 0, sizeof(k->ram));
	k->ram[0] = I8042_CB_XLATE | I8042_CB_INT;
	k->obf = k->last_was_cmd = k->sys = false;
	k->pending_cmd = 0;
	k->nreply = 0;
	k->data = 0;
	k->esc_len = 0;
	k->next_byte_ns = 0;
	k->last_sent = 0;
	k->scanning = true;
	kbd_flush(k);
	kbd_defaults(k);
	dev_timer_set(k->host, &k->wire, TIMER_OFF);
	dev_timer_set(k->host, &k->esc_timer, TIMER_OFF);
	update_irq(k);
	k->out_port = I8042_OUT_RESET;
	write_output(k, 0xcc | I8042_OUT_RESET | I8042_OUT_A20);
}

int i8042_init(struct i8042 *k, struct bus *bus, const struct dev_host *host,
	       const struct irq_line *irq1, const struct irq_line *a20)
{
	int err;

	memset(k, 0, sizeof(*k));
	k->host = host;
	k->irq1 = *irq1;
	k->a20 = *a20;
	k->wire.fire = wire_free;
	k->wire.arg = k;
	k->esc_timer.fire = i8042_esc_timeout;
	k->esc_timer.arg = k;
	i8042_reset(k);
	err = bus_add_port(bus, I8042_DATA, 1, &i8042_ops, k);
	if (!err)
		err = bus_add_port(bus, I8042_CMD, 1, &i8042_ops, k);
	return err;
}
