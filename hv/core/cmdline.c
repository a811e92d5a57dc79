/* The hypervisor's command line: one table of keys, each with its parser and the text that says
 * what would have been right.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/cmdline.h"

#include "core/nearest.h"
#include "lib/errno.h"
#include "lib/str.h"

#define WORD_MAX	  256
#define WATCH_MIN_NS	  (10 * NSEC_PER_MSEC)
#define UART_DEFAULT_BAUD 115200u

/* --- numbers ---------------------------------------------------------------------------------- */

/* Digits in @base at *@s, which moves past them. -EINVAL if there is none or the number overflows.
 */
static int take_number(const char **s, unsigned base, u64 *value)
{
	const char *p = *s;
	u64 v = 0;

	for (;; p++) {
		unsigned digit;

		if (*p >= '0' && *p <= '9')
			digit = (unsigned)(*p - '0');
		else if (base == 16 && (*p | 0x20) >= 'a' && (*p | 0x20) <= 'f')
			digit = (unsigned)((*p | 0x20) - 'a') + 10;
		else
			break;
		if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, digit, &v))
			return -EINVAL;
	}
	if (p == *s)
		return -EINVAL;
	*s = p;
	*value = v;
	return 0;
}

int parse_decimal(const char *s, u64 *value)
{
	u64 v;

	if (take_number(&s, 10, &v) || *s)
		return -EINVAL;
	*value = v;
	return 0;
}

int parse_duration(const char *s, u64 *ns)
{
	u64 v, unit;

	if (take_number(&s, 10, &v))
		return -EINVAL;
	if (!strcmp(s, "ms"))
		unit = NSEC_PER_MSEC;
	else if (!strcmp(s, "s"))
		unit = NSEC_PER_SEC;
	else if (!*s && !v)
		unit = 1; /* nothing is nothing in any unit */
	else
		return -EINVAL;
	if (__builtin_mul_overflow(v, unit, &v))
		return -EINVAL;
	*ns = v;
	return 0;
}

int parse_size(const char *s, u64 *bytes)
{
	static const char units[] = "KMGT";
	u64 v;

	if (take_number(&s, 10, &v))
		return -EINVAL;
	if (*s) {
		const char *unit = strchr(units, *s >= 'a' ? *s - 0x20 : *s);

		if (!unit || !*unit || s[1])
			return -EINVAL;
		if (__builtin_mul_overflow(v, 1ull << 10 * (unit - units + 1), &v))
			return -EINVAL;
	}
	*bytes = v;
	return 0;
}

/* --- console= --------------------------------------------------------------------------------- */

/* The first comma-separated piece of *@s into @piece; *@s moves past the comma or becomes NULL. */
static int take_piece(const char **s, char *piece, size_t size)
{
	const char *comma = strchr(*s, ',');
	size_t len = comma ? (size_t)(comma - *s) : strlen(*s);

	if (len >= size)
		return -EINVAL;
	memcpy(piece, *s, len);
	piece[len] = '\0';
	*s = comma ? comma + 1 : NULL;
	return 0;
}

static int console_device(const char *s, struct console_param *p)
{
	static const u16 com_port[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
	u64 port;

	if (!strncmp(s, "com", 3) && s[3] >= '1' && s[3] <= '4' && !s[4]) {
		p->port = com_port[s[3] - '1'];
		return 0;
	}
	if (!strcmp(s, "pci")) {
		p->kind = CONSOLE_PCI;
		return 0;
	}
	if (strncmp(s, "0x", 2))
		return -EINVAL;
	s += 2;
	/* Eight registers; the ports below 0x100 belong to the board. */
	if (take_number(&s, 16, &port) || *s || port < 0x100 || port > 0xfff8 || port & 7)
		return -EINVAL;
	p->port = (u16)port;
	return 0;
}

static int console_baud(const char *s, struct console_param *p)
{
	u64 baud;

	if (!strcmp(s, "auto")) {
		p->baud = 0;
		return 0;
	}
	/* A rate that no divisor gives would be a wrong rate silently. */
	if (parse_decimal(s, &baud) || !baud || baud > UART_DEFAULT_BAUD ||
	    UART_DEFAULT_BAUD % baud)
		return -EINVAL;
	p->baud = (u32)baud;
	return 0;
}

/* Data bits, parity, stop bits: "8n1". */
static int console_frame(const char *s, struct console_param *p)
{
	if (strlen(s) != 3 || s[0] < '5' || s[0] > '8' || !strchr("neo", s[1]) ||
	    (s[2] != '1' && s[2] != '2'))
		return -EINVAL;
	p->bits = (u8)(s[0] - '0');
	p->parity = s[1];
	p->stop = (u8)(s[2] - '0');
	return 0;
}

int cmdline_parse_console(const char *value, struct console_param *p)
{
	struct console_param got = {.kind = CONSOLE_UART,
				    .baud = UART_DEFAULT_BAUD,
				    .bits = 8,
				    .stop = 1,
				    .parity = 'n'};
	static int (*const part[])(const char *, struct console_param *) = {
		console_device, console_baud, console_frame};
	char piece[16];

	if (!strcmp(value, "vga") || !strcmp(value, "none")) {
		got.kind = *value == 'v' ? CONSOLE_VGA : CONSOLE_NONE;
		*p = got;
		return 0;
	}
	for (unsigned i = 0; value; i++)
		if (i == ARRAY_SIZE(part) || take_piece(&value, piece, sizeof(piece)) ||
		    part[i](piece, &got))
			return -EINVAL;
	*p = got;
	return 0;
}

/* --- the keys --------------------------------------------------------------------------------- */

/* The interface, not the code, names the engines: engine_select() compares the word with the names
 * that the engines give themselves. */
#define ENGINE_EXPECTED "auto, svm or vmx"
static const char *const engine_words[] = {"auto", "svm", "vmx"};

/* Index of @value in a list of @n words, or -EINVAL. */
static int one_of(const char *value, const char *const *word, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(value, word[i]))
			return (int)i;
	return -EINVAL;
}

static int set_switch(bool *on, const char *value)
{
	static const char *const word[] = {"off", "on"};
	int i = one_of(value, word, ARRAY_SIZE(word));

	if (i < 0)
		return i;
	*on = i;
	return 0;
}

static int set_paging(struct cmdline *c, const char *value)
{
	int i = one_of(value, paging_kind_name, PAGING_KINDS);

	if (i < 0)
		return i;
	c->paging = (enum paging_kind)i;
	return 0;
}

static int set_policy(struct cmdline *c, const char *value)
{
	static const char *const word[] = {"regret", "dsp", "chaos"};
	u64 seed;

	if (one_of(value, word, ARRAY_SIZE(word)) < 0 &&
	    (strncmp(value, "chaos:", 6) || parse_decimal(value + 6, &seed)))
		return -EINVAL;
	if (strlen(value) >= sizeof(c->policy))
		return -EINVAL;
	str_copy(c->policy, value, sizeof(c->policy));
	return 0;
}

static int set_engine(struct cmdline *c, const char *value)
{
	if (one_of(value, engine_words, ARRAY_SIZE(engine_words)) < 0)
		return -EINVAL;
	str_copy(c->engine, value, sizeof(c->engine));
	return 0;
}

static int set_nested(struct cmdline *c, const char *value)
{
	return set_switch(&c->nested, value);
}

static int set_unrestricted(struct cmdline *c, const char *value)
{
	return set_switch(&c->unrestricted, value);
}

static int set_msr_controls(struct cmdline *c, const char *value)
{
	return set_switch(&c->msr_controls, value);
}

static int set_apic_page(struct cmdline *c, const char *value)
{
	return set_switch(&c->apic_page, value);
}

static int set_vpid(struct cmdline *c, const char *value)
{
	return set_switch(&c->vpid, value);
}

static int set_console(struct cmdline *c, const char *value)
{
	return cmdline_parse_console(value, &c->console);
}

static int set_results(struct cmdline *c, const char *value)
{
	static const char *const word[] = {"json", "ktap", "lava"};
	unsigned results = 0;
	char piece[8];

	while (value) {
		int i = take_piece(&value, piece, sizeof(piece));

		if (!i)
			i = one_of(piece, word, ARRAY_SIZE(word));
		if (i < 0)
			return i;
		results |= 1u << i;
	}
	c->results = results;
	return 0;
}

_Static_assert(RESULTS_JSON == 1 && RESULTS_KTAP == 2 && RESULTS_LAVA == 4,
	       "order of set_results()");

static int set_interval(u64 *ns, const char *value)
{
	if (!strcmp(value, "off")) {
		*ns = 0;
		return 0;
	}
	return parse_duration(value, ns);
}

static int set_stats(struct cmdline *c, const char *value)
{
	return set_interval(&c->stats_ns, value);
}

static int set_screen(struct cmdline *c, const char *value)
{
	return set_interval(&c->screen_ns, value);
}

static int set_log(struct cmdline *c, const char *value)
{
	static const char *const word[] = {
		[LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};
	int i = one_of(value, word, ARRAY_SIZE(word));

	if (i < 0)
		return i;
	c->log = (enum log_level)i;
	return 0;
}

static int set_trace(struct cmdline *c, const char *value)
{
	static const char *const word[] = {[TRACE_OFF] = "off",
					   [TRACE_EXITS] = "exits",
					   [TRACE_ALL] = "all",
					   [TRACE_POLICY] = "policy"};
	int i = one_of(value, word, ARRAY_SIZE(word));

	if (i < 0)
		return i;
	c->trace = (enum trace_level)i;
	return 0;
}

static int set_guests(struct cmdline *c, const char *value)
{
	const char *rest = value;
	char name[CONFIG_NAME_MAX];

	while (rest)
		if (take_piece(&rest, name, sizeof(name)) || config_name_error(name))
			return -EINVAL;
	if (strlen(value) >= sizeof(c->guests))
		return -EINVAL;
	str_copy(c->guests, value, sizeof(c->guests));
	return 0;
}

static int set_control(struct cmdline *c, const char *value)
{
	int err = set_switch(&c->control, value);

	if (!err)
		c->control_demanded = c->control;
	return err;
}

static int set_shadow(struct cmdline *c, const char *value)
{
	static const char *const word[] = {"auto", "vtlb", "audit"};
	u64 every;

	if (one_of(value, word, ARRAY_SIZE(word)) < 0 &&
	    (strncmp(value, "audit:", 6) || parse_decimal(value + 6, &every) || !every))
		return -EINVAL;
	if (strlen(value) >= sizeof(c->shadow))
		return -EINVAL;
	str_copy(c->shadow, value, sizeof(c->shadow));
	return 0;
}

static int set_pmu(struct cmdline *c, const char *value)
{
	static const char *const word[] = {"auto", "on", "off", "model"};

	if (one_of(value, word, ARRAY_SIZE(word)) < 0 &&
	    (strncmp(value, "replay:", 7) || !value[7]))
		return -EINVAL;
	if (strlen(value) >= sizeof(c->pmu))
		return -EINVAL;
	str_copy(c->pmu, value, sizeof(c->pmu));
	return 0;
}

static int set_per_as(struct cmdline *c, const char *value)
{
	static const char *const word[] = {"auto", "on", "off", "chaos"};
	u64 seed;

	if (one_of(value, word, ARRAY_SIZE(word)) < 0 &&
	    (strncmp(value, "chaos:", 6) || parse_decimal(value + 6, &seed)))
		return -EINVAL;
	if (strlen(value) >= sizeof(c->paging_per_as))
		return -EINVAL;
	str_copy(c->paging_per_as, value, sizeof(c->paging_per_as));
	return 0;
}

static int set_calibrate(struct cmdline *c, const char *value)
{
	static const char *const word[] = {"auto", "on", "off"};

	if (one_of(value, word, ARRAY_SIZE(word)) < 0)
		return -EINVAL;
	str_copy(c->calibrate, value, sizeof(c->calibrate));
	return 0;
}

static int set_watch(struct cmdline *c, const char *value)
{
	u64 ns = 0;

	if (!strcmp(value, "always") || !strcmp(value, "auto")) {
		c->watch_always = value[1] == 'l';
		c->watch_ns = 0;
		return 0;
	}
	if (parse_duration(value, &ns) || ns < WATCH_MIN_NS)
		return -EINVAL;
	c->watch_ns = ns;
	c->watch_always = false;
	return 0;
}

static int set_exit(struct cmdline *c, const char *value)
{
	static const char *const word[] = {[EXIT_STAY] = "stay",
					   [EXIT_POWEROFF] = "poweroff",
					   [EXIT_REBOOT] = "reboot",
					   [EXIT_QEMU] = "qemu"};
	int i = one_of(value, word, ARRAY_SIZE(word));

	if (i < 0)
		return i;
	c->exit = (enum exit_action)i;
	return 0;
}

static int set_hwcheck(struct cmdline *c, const char *value)
{
	return set_switch(&c->hwcheck, value);
}

static int set_verbose(struct cmdline *c, const char *value)
{
	return set_switch(&c->verbose, value);
}

struct cmdline_key {
	const char *name; /* first: nearest_name() reads it */
	int (*set)(struct cmdline *c, const char *value);
	const char *expected;
	bool bare; /* the word alone means "on" */
};

#define EXPECT_SWITCH	"on or off"
#define EXPECT_INTERVAL "off or an interval such as 500ms or 10s"

static const struct cmdline_key keys[] = {
	{"paging", set_paging, "adaptive, nested or shadow", false},
	{"policy", set_policy, "regret, dsp, chaos or chaos:SEED", false},
	{"engine", set_engine, ENGINE_EXPECTED, false},
	{"nested", set_nested, EXPECT_SWITCH, false},
	{"unrestricted", set_unrestricted, EXPECT_SWITCH, false},
	{"vpid", set_vpid, EXPECT_SWITCH, false},
	{"msr_controls", set_msr_controls, EXPECT_SWITCH, false},
	{"apic_page", set_apic_page, EXPECT_SWITCH, false},
	{"console", set_console,
	 "com1..com4, 0xPORT (eight-aligned) or pci, then ,BAUD (a divisor of 115200) or ,auto and "
	 ",8n1; or vga or none",
	 false},
	{"results", set_results, "json, ktap and lava, separated by commas", false},
	{"stats", set_stats, EXPECT_INTERVAL, false},
	{"log", set_log, "warn, info or debug", false},
	{"trace", set_trace, "off, exits, all or policy", false},
	{"guests", set_guests, "guest names separated by commas, 255 bytes at most", false},
	{"control", set_control, EXPECT_SWITCH, true},
	{"shadow", set_shadow, "auto, vtlb, audit or audit:N", false},
	{"pmu", set_pmu, "auto, on, off, model or replay:MODULE", false},
	{"paging.per_as", set_per_as, "auto, on, off, chaos or chaos:SEED", false},
	{"calibrate", set_calibrate, "auto, on or off", false},
	{"watch", set_watch, "auto, always or a time such as 100ms, from 10ms", false},
	{"screen", set_screen, EXPECT_INTERVAL, false},
	{"exit", set_exit, "stay, poweroff, reboot or qemu", false},
	{"hwcheck", set_hwcheck, EXPECT_SWITCH, true},
	{"verbose", set_verbose, EXPECT_SWITCH, true},
};

static const struct cmdline_key *find_key(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

/* --- words ------------------------------------------------------------------------------------ */

struct parser {
	struct cmdline *c;
	const struct cmdline_report *rep;
	const char *word;   /* as it was written */
	char key[WORD_MAX]; /* its copy, cut at the = */
};

__attribute__((format(printf, 2, 3))) static void complain(struct parser *p, const char *fmt, ...)
{
	char message[256];
	va_list ap;

	p->c->errors++;
	if (!p->rep)
		return;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	p->rep->error(p->rep->ctx, p->word, message);
}

static bool key_chars(const char *s)
{
	for (; *s; s++)
		if (!(*s >= 'a' && *s <= 'z') && !(*s >= '0' && *s <= '9') && *s != '_' &&
		    *s != '-')
			return false;
	return true;
}

/* Where GUEST.KEY is kept: its old place, a new one, or NULL when the table is full. */
static struct guest_override *override_slot(struct cmdline *c, const char *guest, const char *key)
{
	for (unsigned i = 0; i < c->noverrides; i++)
		if (!strcmp(c->override[i].guest, guest) && !strcmp(c->override[i].key, key))
			return &c->override[i];
	return c->noverrides < CMDLINE_MAX_OVERRIDES ? &c->override[c->noverrides++] : NULL;
}

/* NAME.key=value: @name ends where @key begins. Both are checked for their form only. */
static void add_override(struct parser *p, const char *name, const char *key, const char *value)
{
	const char *why = !strcmp(name, "policy") ? NULL : config_name_error(name);
	struct guest_override *o;

	if (why) {
		complain(p, "%s: %s", name, why);
		return;
	}
	if (!*key || strlen(key) >= sizeof(o->key) || !key_chars(key)) {
		complain(p, "expected NAME.key=value with a key of a guest's config section");
		return;
	}
	if (!*value || strlen(value) >= sizeof(o->value)) {
		complain(p, "%s.%s: expected a value of 1 to %zu bytes", name, key,
			 sizeof(o->value) - 1);
		return;
	}
	o = override_slot(p->c, name, key);
	if (!o) {
		complain(p, "too many guest settings: expected at most %d", CMDLINE_MAX_OVERRIDES);
		return;
	}
	str_copy(o->guest, name, sizeof(o->guest));
	str_copy(o->key, key, sizeof(o->key));
	str_copy(o->value, value, sizeof(o->value));
}

static void unknown_key(struct parser *p)
{
	const char *near = nearest_name(p->key, keys, ARRAY_SIZE(keys), sizeof(keys[0]));

	if (near)
		complain(p, "unknown key: did you mean %s?", near);
	else
		complain(
			p,
			"unknown key: expected paging=, console=, guests=, NAME.key= or another of "
			"docs/config.md");
}

static void parse_word(struct parser *p)
{
	char *value = strchr(p->key, '=');
	const struct cmdline_key *key;
	char *dot;

	if (value)
		*value++ = '\0';
	key = find_key(p->key);
	dot = strchr(p->key, '.');
	if (!key && dot && value) {
		*dot = '\0';
		add_override(p, p->key, dot + 1, value);
	} else if (!key) {
		unknown_key(p);
	} else if (!value && !key->bare) {
		complain(p, "expected %s=VALUE, VALUE being %s", key->name, key->expected);
	} else if (key->set(p->c, value ? value : "on")) {
		complain(p, "%s: expected %s", key->name, key->expected);
	}
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Some loaders put the name of the file they loaded before its arguments. */
static bool is_file_name(const char *word)
{
	size_t len = strlen(word);

	return !strchr(word, '=') &&
	       (strchr(word, '/') || (len > 4 && !strcmp(word + len - 4, ".elf")));
}

static void set_defaults(struct cmdline *c)
{
	memset(c, 0, sizeof(*c));
	c->nested = c->unrestricted = c->vpid = c->msr_controls = c->apic_page = true;
	c->results = RESULTS_JSON;
	c->log = LOG_INFO;
	c->control = true;
	str_copy(c->policy, "regret", sizeof(c->policy));
	str_copy(c->engine, "auto", sizeof(c->engine));
	str_copy(c->shadow, "auto", sizeof(c->shadow));
	str_copy(c->pmu, "auto", sizeof(c->pmu));
	str_copy(c->paging_per_as, "auto", sizeof(c->paging_per_as));
	str_copy(c->calibrate, "auto", sizeof(c->calibrate));
	cmdline_parse_console("com1", &c->console);
}

void cmdline_parse(struct cmdline *c, const char *text, const struct cmdline_report *rep)
{
	struct parser p = {.c = c, .rep = rep};
	char word[WORD_MAX];

	set_defaults(c);
	p.word = word;
	for (bool first = true;; first = false) {
		size_t len = 0;

		while (is_space(*text))
			text++;
		if (!*text)
			return;
		while (text[len] && !is_space(text[len]))
			len++;
		memcpy(word, text, MIN(len, sizeof(word) - 1));
		word[MIN(len, sizeof(word) - 1)] = '\0';
		text += len;
		str_copy(p.key, word, sizeof(p.key));
		if (len >= sizeof(word))
			complain(&p, "word too long: expected at most %d bytes", WORD_MAX - 1);
		else if (!first || !is_file_name(word))
			parse_word(&p);
	}
}
