/* penumbra.conf: which keys there are, what their values may be, and what to say when they are not.
 *
 * The lines come from core/ini.c, a reader of our own: a config error must name its line whatever
 * the file holds (overlong lines, NUL bytes, a missing bracket), and reading must go on after it,
 * so that the other guests start.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/config.h"

#include "core/cmdline.h"
#include "core/ini.h"
#include "core/nearest.h"
#include "lib/errno.h"
#include "lib/str.h"

#define GUEST_MEMORY_DEFAULT (256 * MIB)
#define MEMORY_MIN	     MIB
#define CONTROL_MEMORY_MIN   (32 * MIB)
#define MEMORY_MAX	     (1024 * GIB)
#define GUEST_CPUS_MAX	     255
#define MESSAGE_MAX	     256
#define REPORTS_MAX	     64 /* a file of garbage must not fill the serial line */

const char *const paging_kind_name[PAGING_KINDS] = {
	[PAGING_ADAPTIVE] = "adaptive",
	[PAGING_NESTED] = "nested",
	[PAGING_SHADOW] = "shadow",
};

struct device_kind {
	const char *prefix;
	enum media_kind kind;
};

static const struct device_kind media_kinds[] = {
	{"module:", MEDIA_MODULE},
	{"file:", MEDIA_FILE},
	{"dev:", MEDIA_DEV},
};

static const struct device_kind nic_kinds[] = {
	{"none", MEDIA_NONE},
	{"bridge:", MEDIA_NONE},
	{"switch", MEDIA_NONE},
};

/* --- names ------------------------------------------------------------------------------------ */

const char *config_name_error(const char *name)
{
	static const char *const reserved[] = {"control", "hv", "policy", "paging", "shadow"};
	size_t len = strlen(name);
	bool good = len && len < CONFIG_NAME_MAX && *name >= 'a' && *name <= 'z';

	for (const char *p = name; good && *p; p++)
		good = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-';
	if (!good)
		return "expected a guest name of 1 to 16 of a-z 0-9 -, the first a letter";
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (!strcmp(name, reserved[i]))
			return "is a reserved name: control, hv, policy, paging and shadow are "
			       "taken";
	return NULL;
}

/* --- values ----------------------------------------------------------------------------------- */

static int set_memory(u64 *bytes, const char *value, u64 min)
{
	u64 v;

	if (parse_size(value, &v) || v < min || v > MEMORY_MAX || v % MIB)
		return -EINVAL;
	*bytes = v;
	return 0;
}

static int guest_memory(struct guest_config *g, const char *value)
{
	return set_memory(&g->memory, value, MEMORY_MIN);
}

static int guest_cpus(struct guest_config *g, const char *value)
{
	u64 n;

	if (parse_decimal(value, &n) || !n || n > GUEST_CPUS_MAX)
		return -EINVAL;
	g->cpus = (unsigned)n;
	return 0;
}

static int guest_paging(struct guest_config *g, const char *value)
{
	for (unsigned i = 0; i < PAGING_KINDS; i++)
		if (!strcmp(value, paging_kind_name[i])) {
			g->paging = (enum paging_kind)i;
			g->paging_set = true;
			return 0;
		}
	return -EINVAL;
}

/* The kind whose prefix @value has; *@rest is what follows it. */
static const struct device_kind *find_kind(const struct device_kind *kind, size_t n,
					   const char *value, const char **rest)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(kind[i].prefix);

		if (!strncmp(value, kind[i].prefix, len)) {
			*rest = value + len;
			return &kind[i];
		}
	}
	return NULL;
}

static int set_media(struct media *m, const char *value)
{
	const struct device_kind *kind;
	const char *path;

	if (!strcmp(value, "none")) {
		*m = (struct media){.kind = MEDIA_NONE};
		return 0;
	}
	kind = find_kind(media_kinds, ARRAY_SIZE(media_kinds), value, &path);
	if (!kind || !*path || strlen(path) >= sizeof(m->path) || strchr(path, ' ') ||
	    strchr(path, '\t'))
		return -EINVAL;
	m->kind = kind->kind;
	str_copy(m->path, path, sizeof(m->path));
	return 0;
}

static int guest_cdrom(struct guest_config *g, const char *value)
{
	return set_media(&g->cdrom, value);
}

static int guest_disk(struct guest_config *g, const char *value)
{
	return set_media(&g->disk, value);
}

static int guest_floppy(struct guest_config *g, const char *value)
{
	return set_media(&g->floppy, value);
}

static enum boot_order boot_device(const char *name, size_t len)
{
	static const char *const word[] = {
		[ORDER_CDROM] = "cdrom", [ORDER_DISK] = "disk", [ORDER_FLOPPY] = "floppy"};

	for (unsigned i = ORDER_CDROM; i < ARRAY_SIZE(word); i++)
		if (strlen(word[i]) == len && !memcmp(word[i], name, len))
			return (enum boot_order)i;
	return ORDER_NONE;
}

static int guest_boot(struct guest_config *g, const char *value)
{
	enum boot_order order[ARRAY_SIZE(g->boot)] = {ORDER_NONE};
	unsigned n = 0, seen = 0;

	for (const char *p = value;; p++) {
		enum boot_order dev;
		size_t len = 0;

		while (*p == ' ' || *p == '\t')
			p++;
		while (p[len] && !strchr(", \t", p[len]))
			len++;
		dev = boot_device(p, len);
		if (dev == ORDER_NONE || seen & 1u << dev)
			return -EINVAL;
		seen |= 1u << dev;
		order[n++] = dev;
		for (p += len; *p == ' ' || *p == '\t';)
			p++;
		if (!*p)
			break;
		if (*p != ',')
			return -EINVAL;
	}
	/* Each device at most once: n <= 3, and the ORDER_NONE at the end stays. */
	memcpy(g->boot, order, sizeof(order));
	return 0;
}

/* A host interface: what Linux takes as its name. */
static bool interface_name(const char *s)
{
	size_t len = strlen(s);

	return len && len < 16 && !strchr(s, '/') && !strchr(s, ' ') && !strchr(s, '\t');
}

static int guest_nic(struct guest_config *g, const char *value)
{
	const char *rest;
	const struct device_kind *kind = find_kind(nic_kinds, ARRAY_SIZE(nic_kinds), value, &rest);

	if (!kind || (strchr(kind->prefix, ':') ? !interface_name(rest) : *rest != '\0'))
		return -EINVAL;
	str_copy(g->nic, value, sizeof(g->nic));
	return 0;
}

/* Index of @value in @word, or -EINVAL. */
static int word_index(const char *value, const char *const *word, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(value, word[i]))
			return (int)i;
	return -EINVAL;
}

static int guest_disk_model(struct guest_config *g, const char *value)
{
	static const char *const word[DISK_MODELS] = {[DISK_IDE] = "ide", [DISK_VIRTIO] = "virtio"};
	int i = word_index(value, word, DISK_MODELS);

	if (i >= 0)
		g->disk_model = (enum disk_model)i;
	return MIN(i, 0);
}

static int guest_nic_model(struct guest_config *g, const char *value)
{
	static const char *const word[NIC_MODELS] = {
		[NIC_RTL8139] = "rtl8139", [NIC_VIRTIO] = "virtio"};
	int i = word_index(value, word, NIC_MODELS);

	if (i >= 0)
		g->nic_model = (enum nic_model)i;
	return MIN(i, 0);
}

static int set_bool(bool *b, const char *value, const char *no, const char *yes)
{
	if (strcmp(value, no) && strcmp(value, yes))
		return -EINVAL;
	*b = !strcmp(value, yes);
	return 0;
}

static int guest_serial(struct guest_config *g, const char *value)
{
	return set_bool(&g->serial_mux, value, "none", "mux");
}

static int guest_vga(struct guest_config *g, const char *value)
{
	return set_bool(&g->vga, value, "off", "on");
}

static int guest_start(struct guest_config *g, const char *value)
{
	return set_bool(&g->start, value, "no", "yes");
}

static int guest_on_exit(struct guest_config *g, const char *value)
{
	bool restart;

	if (set_bool(&restart, value, "stop", "restart"))
		return -EINVAL;
	g->on_exit = restart ? ON_EXIT_RESTART : ON_EXIT_STOP;
	return 0;
}

static int guest_timeout(struct guest_config *g, const char *value)
{
	return parse_duration(value, &g->timeout_ns);
}

/* --- keys ------------------------------------------------------------------------------------- */

struct guest_key {
	const char *name; /* first: nearest_name() reads it */
	int (*set)(struct guest_config *g, const char *value);
	const char *expected;
};

#define EXPECT_MEDIA                                                                               \
	"none, module:PATH, file:PATH or dev:PATH, without blanks, PATH of 127 bytes at most"

static const struct guest_key guest_keys[] = {
	{"memory", guest_memory, "a size such as 512M between 1M and 1T, whole MiB"},
	{"cpus", guest_cpus, "a number from 1 to 255"},
	{"paging", guest_paging, "adaptive, nested or shadow"},
	{"cdrom", guest_cdrom, EXPECT_MEDIA},
	{"disk", guest_disk, EXPECT_MEDIA},
	{"floppy", guest_floppy, EXPECT_MEDIA},
	{"boot", guest_boot, "cdrom, disk, floppy in the order to try, separated by commas"},
	{"disk_model", guest_disk_model, "ide or virtio"},
	{"nic", guest_nic, "none, switch or bridge:IF"},
	{"nic_model", guest_nic_model, "rtl8139 or virtio"},
	{"serial", guest_serial, "mux or none"},
	{"vga", guest_vga, "on or off"},
	{"start", guest_start, "yes or no"},
	{"on_exit", guest_on_exit, "stop or restart"},
	{"timeout", guest_timeout, "0 or a time such as 90s or 500ms"},
};

_Static_assert(ARRAY_SIZE(guest_keys) <= 32, "one bit each in struct parser");

static const struct guest_key *find_key(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(guest_keys); i++)
		if (!strcmp(guest_keys[i].name, name))
			return &guest_keys[i];
	return NULL;
}

static void explain_unknown(const char *key, char *why, size_t size)
{
	const char *near =
		nearest_name(key, guest_keys, ARRAY_SIZE(guest_keys), sizeof(*guest_keys));
	size_t len = (size_t)snprintf(why, size, "%.32s: unknown key: ", key);

	if (near) {
		snprintf(why + len, size - MIN(len, size), "did you mean %s?", near);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(guest_keys) && len < size; i++)
		len += (size_t)snprintf(why + len, size - len, "%s%s",
					i ? ", " : "expected one of ", guest_keys[i].name);
}

int config_guest_set(struct guest_config *g, const char *key, const char *value, char *why,
		     size_t why_len)
{
	const struct guest_key *k = find_key(key);

	if (!k) {
		explain_unknown(key, why, why_len);
		return -EINVAL;
	}
	if (!k->set(g, value))
		return 0;
	snprintf(why, why_len, "%s: expected %s, not \"%.40s\"", k->name, k->expected, value);
	return -EINVAL;
}

/* --- the file --------------------------------------------------------------------------------- */

enum where { IN_NOTHING, IN_CONTROL, IN_GUEST, IN_BAD_SECTION };

struct parser {
	struct config *c;
	const char *file;
	const struct config_report *rep;
	struct ini ini;
	enum where where;
	struct guest_config *guest; /* IN_GUEST */
	u32 seen;		    /* keys of this section, one bit each */
	bool control_seen;
};

static void complain(struct parser *p, const char *key, const char *message)
{
	const char *name = p->where == IN_GUEST ? p->guest->name : NULL;

	if (p->where == IN_GUEST)
		p->guest->bad = true;
	p->c->errors++;
	if (!p->rep || p->c->errors > REPORTS_MAX)
		return;
	if (p->c->errors == REPORTS_MAX)
		message = "too many errors: this one and the rest are not shown";
	p->rep->error(p->rep->ctx, p->file, p->ini.line, name, key, message);
}

static struct guest_config *find_guest(struct config *c, const char *name)
{
	for (unsigned i = 0; i < c->nguests; i++)
		if (!strcmp(c->guest[i].name, name))
			return &c->guest[i];
	return NULL;
}

static void guest_defaults(struct guest_config *g, const char *name, unsigned line)
{
	*g = (struct guest_config){
		.memory = GUEST_MEMORY_DEFAULT,
		.cpus = 1,
		.paging = PAGING_ADAPTIVE,
		.boot = {ORDER_CDROM, ORDER_DISK, ORDER_FLOPPY, ORDER_NONE},
		.nic = "none",
		.disk_model = DISK_IDE,
		.nic_model = NIC_RTL8139,
		.serial_mux = true,
		.vga = true,
		.start = true,
		.on_exit = ON_EXIT_STOP,
		.line = line,
	};
	str_copy(g->name, name, sizeof(g->name));
}

static void begin_guest(struct parser *p, const char *name)
{
	const char *error = config_name_error(name);
	char message[MESSAGE_MAX];

	if (error) {
		snprintf(message, sizeof(message), "[guest %.32s]: %s", name, error);
		complain(p, NULL, message);
		return;
	}
	p->guest = find_guest(p->c, name);
	if (p->guest) {
		/* Which of the two was meant nobody knows: neither starts. */
		snprintf(message, sizeof(message),
			 "[guest %s]: expected a name not used before, it is the one of line %u",
			 name, p->guest->line);
		p->where = IN_GUEST;
		complain(p, NULL, message);
		p->where = IN_BAD_SECTION;
		return;
	}
	if (p->c->nguests == CONFIG_MAX_GUESTS) {
		snprintf(message, sizeof(message),
			 "[guest %s]: too many guests: expected at most %d", name,
			 CONFIG_MAX_GUESTS);
		complain(p, NULL, message);
		return;
	}
	p->guest = &p->c->guest[p->c->nguests++];
	guest_defaults(p->guest, name, p->ini.line);
	p->where = IN_GUEST;
}

static void begin_control(struct parser *p)
{
	if (p->control_seen) {
		complain(p, NULL, "[control]: expected one such section, this is another");
		return;
	}
	p->control_seen = true;
	p->where = IN_CONTROL;
}

/* A section that is not accepted swallows its keys: one error, not one for each line. */
static void begin_section(struct parser *p, char *name)
{
	char message[MESSAGE_MAX];

	p->where = IN_BAD_SECTION;
	p->seen = 0;
	if (!strcmp(name, "control")) {
		begin_control(p);
	} else if (!strncmp(name, "guest ", 6) || !strncmp(name, "guest\t", 6)) {
		for (name += 6; *name == ' ' || *name == '\t';)
			name++;
		begin_guest(p, name);
	} else {
		snprintf(message, sizeof(message),
			 "[%.32s]: unknown section: expected [control] or [guest NAME]", name);
		complain(p, NULL, message);
	}
}

static void control_key(struct parser *p, const char *key, const char *value)
{
	char message[MESSAGE_MAX];

	if (strcmp(key, "memory"))
		snprintf(message, sizeof(message), "%.32s: unknown key: expected memory", key);
	else if (p->seen)
		snprintf(message, sizeof(message), "memory: expected once in a section");
	else if (set_memory(&p->c->control_memory, value, CONTROL_MEMORY_MIN))
		snprintf(message, sizeof(message),
			 "memory: expected a size such as 256M between 32M and 1T, whole MiB, not "
			 "\"%.40s\"",
			 value);
	else
		message[0] = '\0';
	p->seen |= !strcmp(key, "memory");
	if (message[0])
		complain(p, key, message);
}

static void guest_key(struct parser *p, const char *key, const char *value)
{
	const struct guest_key *k = find_key(key);
	u32 bit = k ? 1u << (k - guest_keys) : 0;
	char message[MESSAGE_MAX];

	if (p->seen & bit) {
		snprintf(message, sizeof(message), "%s: expected once in a section", key);
		complain(p, key, message);
	} else if (config_guest_set(p->guest, key, value, message, sizeof(message))) {
		complain(p, key, message);
	}
	p->seen |= bit;
}

static void take_key(struct parser *p, const char *key, const char *value)
{
	switch (p->where) {
	case IN_NOTHING:
		complain(p, key,
			 "key before any section: expected [control] or [guest NAME] first");
		break;
	case IN_CONTROL:
		control_key(p, key, value);
		break;
	case IN_GUEST:
		guest_key(p, key, value);
		break;
	case IN_BAD_SECTION:
		break;
	}
}

static void take_error(struct parser *p)
{
	/* A broken header is no error of the section above it. */
	if (p->ini.in_section_header)
		p->where = IN_BAD_SECTION;
	complain(p, NULL, p->ini.error);
}

void config_parse(struct config *c, const char *file, const char *text, size_t len,
		  const struct config_report *rep)
{
	struct parser p = {.c = c, .file = file, .rep = rep, .where = IN_NOTHING};
	enum ini_kind kind;

	memset(c, 0, sizeof(*c));
	ini_open(&p.ini, text, len);
	while ((kind = ini_next(&p.ini)) != INI_END) {
		if (kind == INI_SECTION)
			begin_section(&p, p.ini.key);
		else if (kind == INI_KEY)
			take_key(&p, p.ini.key, p.ini.value);
		else
			take_error(&p);
	}
}
