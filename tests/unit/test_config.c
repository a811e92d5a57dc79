/* The config parser: catches a value taken wrongly or cut, an error without its line, key or guest,
 * an error that hits the wrong guest, and a file (CRLF, NUL, overlong, garbage) that stops the
 * reading.
 *
 * SRCS: hv/core/config.c hv/core/cmdline.c hv/core/ini.c hv/core/nearest.c hv/lib/str.c
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "core/config.h"
#include "lib/errno.h"

/* Every report of the last parse() as "line guest key: message". */
static char log_text[16384];
static unsigned reports;
static struct config cfg;

static void report(void *ctx, const char *file, unsigned line, const char *guest, const char *key,
		   const char *message)
{
	size_t len = strlen(log_text);

	CHECK(ctx == &cfg);
	CHECK_STR(file, "test.conf");
	reports++;
	snprintf(log_text + len, sizeof(log_text) - len, "%u %s %s: %s\n", line,
		 guest ? guest : "-", key ? key : "-", message);
}

static void parse_bytes(const char *text, size_t len)
{
	const struct config_report rep = {report, &cfg};
	char *copy = malloc(len ? len : 1); /* exact size: a read past the end shows */

	memcpy(copy, text, len);
	log_text[0] = '\0';
	reports = 0;
	memset(&cfg, 0xa5, sizeof(cfg));
	config_parse(&cfg, "test.conf", copy, len, &rep);
	CHECK_EQ(cfg.errors, reports);
	free(copy);
}

static void parse(const char *text)
{
	parse_bytes(text, strlen(text));
}

TEST(a_whole_file)
{
	const struct guest_config *g = &cfg.guest[0];

	parse("# lab machine 3\n"
	      "[control]\n"
	      "memory = 384M # enough\n"
	      "\n"
	      "[guest alpha]\n"
	      "memory = 512M\n"
	      "cpus = 2\n"
	      "paging = shadow            # overrides\n"
	      "cdrom = module:images/debian#12.iso # a comment\n"
	      "disk=module:alpha.img\n"
	      "\tfloppy = none\n"
	      "boot  = disk , cdrom\n"
	      "nic = none\n"
	      "disk_model = virtio\n"
	      "nic_model = virtio\n"
	      "serial = none\n"
	      "vga = off\n"
	      "start = no\n"
	      "on_exit = restart\n"
	      "timeout = 90s\n"
	      "[guest b-2]\n");
	CHECK_STR(log_text, "");
	CHECK_EQ(cfg.control_memory, 384 * MIB);
	CHECK_EQ(cfg.nguests, 2);
	CHECK_STR(g->name, "alpha");
	CHECK_EQ(g->memory, 512 * MIB);
	CHECK_EQ(g->cpus, 2);
	CHECK(g->paging_set && g->paging == PAGING_SHADOW);
	CHECK_EQ(g->cdrom.kind, MEDIA_MODULE);
	CHECK_STR(g->cdrom.path, "images/debian#12.iso");
	CHECK_STR(g->disk.path, "alpha.img");
	CHECK_EQ(g->floppy.kind, MEDIA_NONE);
	CHECK(g->boot[0] == ORDER_DISK && g->boot[1] == ORDER_CDROM && g->boot[2] == ORDER_NONE);
	CHECK_EQ(g->disk_model, DISK_VIRTIO);
	CHECK_EQ(g->nic_model, NIC_VIRTIO);
	CHECK(!g->serial_mux && !g->vga && !g->start && g->on_exit == ON_EXIT_RESTART);
	CHECK_EQ(g->timeout_ns, 90 * NSEC_PER_SEC);
	CHECK_EQ(g->line, 5);
	CHECK(!g->bad);
}

TEST(defaults)
{
	const struct guest_config *g = &cfg.guest[0];

	parse("[guest a]");
	CHECK_STR(log_text, "");
	CHECK_EQ(cfg.control_memory, 0);
	CHECK_EQ(g->memory, 256 * MIB);
	CHECK_EQ(g->cpus, 1);
	CHECK(!g->paging_set && g->serial_mux && g->vga && g->start && !g->bad);
	CHECK_EQ(g->cdrom.kind, MEDIA_NONE);
	CHECK_STR(g->nic, "none");
	CHECK_EQ(g->disk_model, DISK_IDE);
	CHECK_EQ(g->nic_model, NIC_RTL8139);
	CHECK(g->boot[0] == ORDER_CDROM && g->boot[1] == ORDER_DISK && g->boot[2] == ORDER_FLOPPY &&
	      g->boot[3] == ORDER_NONE);
	CHECK_EQ(g->timeout_ns, 0);
}

TEST(empty_files)
{
	static const char *const empty[] = {
		"",	  "\n",		  "\n\n\r\n",		"# only this",
		"   \t ", "\xef\xbb\xbf", "\xef\xbb\xbf# BOM\n"};

	for (size_t i = 0; i < ARRAY_SIZE(empty); i++) {
		parse(empty[i]);
		CHECK_STR(log_text, "");
		CHECK_EQ(cfg.nguests, 0);
	}
}

TEST(bad_value_names_line_key_and_what_is_right)
{
	static const struct {
		const char *line, *want;
	} bad[] = {
		{"memory = 12Q",
		 "3 a memory: memory: expected a size such as 512M between 1M and 1T, whole "
		 "MiB, not \"12Q\"\n"},
		{"memory = 512K", "expected a size"},
		{"memory = 2T", "expected a size"},
		{"memory = 1025K", "whole MiB"},
		{"memory = 18446744073709551617M", "expected a size"},
		{"memory = 17592186044417M", "expected a size"}, /* 2^64 + 1 MiB */
		{"memory = -1M", "expected a size"},
		{"memory =", "3 a memory: memory: expected a size"},
		{"cpus = 0", "a number from 1 to 255, not \"0\""},
		{"cpus = 256", "a number from 1 to 255"},
		{"cpus = 1x", "a number from 1 to 255"},
		{"paging = Nested", "adaptive, nested or shadow, not \"Nested\""},
		{"cdrom = debian.iso", "none, module:PATH, file:PATH"},
		{"cdrom = module:", "none, module:PATH, file:PATH"},
		{"cdrom = module:a b", "without blanks"},
		{"disk = file:",
		 "3 a disk: disk: expected none, module:PATH, file:PATH or dev:PATH"},
		{"cdrom = dev:/dev/sd b", "without blanks"},
		{"disk_model = scsi", "3 a disk_model: disk_model: expected ide or virtio, not"},
		{"nic_model = e1000", "3 a nic_model: nic_model: expected rtl8139 or virtio, not"},
		{"nic = switches", "nic: expected none, switch or bridge:IF"},
		{"nic = bridge:", "nic: expected none, switch or bridge:IF"},
		{"boot = cdrom,cdrom", "boot: expected cdrom, disk, floppy"},
		{"boot = ", "boot: expected cdrom, disk, floppy"},
		{"boot = cdrom,", "boot: expected cdrom, disk, floppy"},
		{"boot = cdrom disk", "boot: expected cdrom, disk, floppy"},
		{"boot = net", "boot: expected cdrom, disk, floppy"},
		{"serial = on", "mux or none"},
		{"vga = yes", "on or off"},
		{"start = on", "yes or no"},
		{"on_exit = halt", "stop or restart"},
		{"timeout = 10", "0 or a time such as 90s"},
		{"timeout = 99999999999999999999s", "0 or a time such as 90s"},
		{"timeout = 18446744074s", "0 or a time such as 90s"},
		{"memoy = 1G", "3 a memoy: memoy: unknown key: did you mean memory?"},
		{"on-exit = stop", "did you mean on_exit?"},
		{"colour = red", "unknown key: expected one of memory, cpus,"},
		{"just words", "3 a -: expected key = value, [section] or # comment"},
		{"= 5", "expected key = value"},
		{"; old comment", "a comment starts with #, not ;"},
	};
	char text[256];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "\n[guest a]\n%s\n[guest ok]\nmemory = 1G\n",
			 bad[i].line);
		parse(text);
		if (!strstr(log_text, bad[i].want)) {
			printf("# \"%s\" gives \"%s\", expected \"%s\"\n", bad[i].line, log_text,
			       bad[i].want);
			unit_failures++;
		}
		CHECK_EQ(reports, 1);
		CHECK_EQ(cfg.nguests, 2);
		CHECK(cfg.guest[0].bad);
		CHECK(!cfg.guest[1].bad && cfg.guest[1].memory == GIB);
	}
}

TEST(a_bad_value_leaves_the_default)
{
	parse("[guest a]\nmemory = lots\nboot = disk,tape\ncdrom = module:x y\n[control]\nmemory = "
	      "1M\n");
	CHECK_EQ(reports, 4);
	CHECK_EQ(cfg.guest[0].memory, 256 * MIB);
	CHECK_EQ(cfg.guest[0].boot[0], ORDER_CDROM);
	CHECK_EQ(cfg.guest[0].cdrom.kind, MEDIA_NONE);
	CHECK_EQ(cfg.control_memory, 0);
	CHECK(strstr(log_text,
		     "6 - memory: memory: expected a size such as 256M between 32M and 1T"));
}

TEST(guest_names)
{
	static const char *const bad[] = {
		"",   "Alpha",	 "1a",	   "-a",     "a b",   "a_b", "abcdefghijklmnopq",
		"hv", "control", "policy", "paging", "shadow"};

	CHECK(!config_name_error("a"));
	CHECK(!config_name_error("a-1"));
	CHECK(!config_name_error("abcdefghijklmnop"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char text[128];

		CHECK(config_name_error(bad[i]));
		snprintf(text, sizeof(text), "[guest x]\n[guest %s]\nmemory = huge\n", bad[i]);
		parse(text);
		CHECK_EQ(reports, 1); /* the section's keys are passed over */
		CHECK(!strncmp(log_text, "2 - -: [guest", 13));
		CHECK_EQ(cfg.nguests, 1);
		CHECK(!cfg.guest[0].bad);
	}
}

TEST(section_headers)
{
	static const char *const bad[] = {"[guest b", "[guest b] x", "[Guest b]", "[control x]",
					  "[]",	      "[guestb]",    "[guest]"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char text[128];

		snprintf(text, sizeof(text), "[guest a]\n%s\nmemory = 1G\nnonsense = 1\n", bad[i]);
		parse(text);
		CHECK_EQ(reports, 1);
		CHECK(!strncmp(log_text, "2 - -: ", 7));
		CHECK_EQ(cfg.nguests, 1);
		CHECK(!cfg.guest[0].bad && cfg.guest[0].memory == 256 * MIB);
	}
	parse(" [ guest\t a ] # fine\n[control]#not\n");
	CHECK_EQ(reports, 1);
	parse("[guest \t a ] # fine\n [control ]\n");
	CHECK_STR(log_text, "");
	CHECK_STR(cfg.guest[0].name, "a");
}

TEST(duplicates)
{
	parse("[guest a]\nmemory = 1G\nmemory = 2G\n[guest b]\n[guest b]\ncpus = 2\n[guest c]\n");
	CHECK_STR(log_text,
		  "3 a memory: memory: expected once in a section\n"
		  "5 b -: [guest b]: expected a name not used before, it is the one of line 4\n");
	CHECK_EQ(cfg.nguests, 3);
	CHECK(cfg.guest[0].bad && cfg.guest[1].bad && !cfg.guest[2].bad);
	CHECK_EQ(cfg.guest[0].memory, GIB);
	CHECK_EQ(cfg.guest[1].cpus, 1);
	parse("[control]\nmemory=64M\nmemory=65M\n[control]\nmemory=1G\n");
	CHECK_EQ(reports, 2);
	CHECK_EQ(cfg.control_memory, 64 * MIB);
}

TEST(key_before_any_section)
{
	parse("memory = 1G\n[guest a]\n");
	CHECK_STR(log_text,
		  "1 - memory: key before any section: expected [control] or [guest NAME] first\n");
	CHECK(!cfg.guest[0].bad);
}

TEST(line_ends_of_dos)
{
	parse("[guest a]\r\nmemory = 1G\r\ncdrom = module:x.iso\r\n\r\n# c\r\nvga = off");
	CHECK_STR(log_text, "");
	CHECK_EQ(cfg.guest[0].memory, GIB);
	CHECK_STR(cfg.guest[0].cdrom.path, "x.iso");
	CHECK(!cfg.guest[0].vga);
}

TEST(nul_and_control_bytes)
{
	static const char text[] =
		"[guest a]\nmem\0ory = 1G\n[guest b]\ncdrom = module:a\033b\n[guest c]\n";

	parse_bytes(text, sizeof(text) - 1);
	CHECK_STR(log_text, "2 a -: NUL byte in the line: expected text\n"
			    "4 b -: control character in the line: expected text\n");
	CHECK_EQ(cfg.nguests, 3);
	CHECK(!cfg.guest[2].bad);
}

TEST(overlong_lines_are_errors_not_cut)
{
	char text[2048], path[160];
	int n;

	n = snprintf(text, sizeof(text), "[guest a]\nmemory = 1G%*s\n[guest b]\n", 501, "");
	parse_bytes(text, (size_t)n); /* 512 bytes: fits */
	CHECK_STR(log_text, "");
	n = snprintf(text, sizeof(text), "[guest a]\nmemory = 1G%*s\n[guest b]\n", 502, "");
	parse_bytes(text, (size_t)n);
	CHECK_STR(log_text, "2 a -: line too long: expected at most 512 bytes\n");
	CHECK(cfg.nguests == 2 && cfg.guest[0].bad && !cfg.guest[1].bad);
	n = snprintf(text, sizeof(text), "[guest a]\n%*s", 1500, "x");
	parse_bytes(text, (size_t)n);
	CHECK_EQ(reports, 1);

	memset(path, 'p', sizeof(path));
	snprintf(text, sizeof(text), "[guest a]\ncdrom = module:%.127s\n", path);
	parse(text);
	CHECK_STR(log_text, "");
	CHECK_EQ(strlen(cfg.guest[0].cdrom.path), 127);
	snprintf(text, sizeof(text), "[guest a]\ncdrom = module:%.128s\n", path);
	parse(text);
	CHECK_EQ(reports, 1);
}

TEST(many_guests)
{
	char text[2048] = "";

	for (unsigned i = 0; i < CONFIG_MAX_GUESTS + 3; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 "[guest g%u]\ncpus = %u\n", i, i + 1);
	parse(text);
	CHECK_EQ(cfg.nguests, CONFIG_MAX_GUESTS);
	CHECK_EQ(reports, 3);
	CHECK(strstr(log_text, "65 - -: [guest g32]: too many guests: expected at most 32\n"));
	CHECK_STR(cfg.guest[CONFIG_MAX_GUESTS - 1].name, "g31");
	CHECK_EQ(cfg.guest[CONFIG_MAX_GUESTS - 1].cpus, CONFIG_MAX_GUESTS);
}

TEST(reports_are_bounded_but_counted)
{
	const struct config_report rep = {report, &cfg};
	static char text[4000];

	memset(text, '\n', sizeof(text));
	for (unsigned i = 0; i < sizeof(text); i += 2)
		text[i] = '=';
	log_text[0] = '\0';
	reports = 0;
	config_parse(&cfg, "test.conf", text, sizeof(text), &rep);
	CHECK_EQ(cfg.errors, sizeof(text) / 2);
	CHECK_EQ(reports, 64);
	CHECK(strstr(log_text, "64 - -: too many errors"));
	config_parse(&cfg, "test.conf", text, sizeof(text), NULL);
	CHECK_EQ(cfg.errors, sizeof(text) / 2);
}

TEST(settings_from_the_command_line)
{
	struct guest_config *g = &cfg.guest[0];
	char why[200];

	parse("[guest a]\nmemory = 1G\n");
	CHECK_EQ(config_guest_set(g, "memory", "128M", why, sizeof(why)), 0);
	CHECK_EQ(g->memory, 128 * MIB);
	CHECK_EQ(config_guest_set(g, "paging", "nested", why, sizeof(why)), 0);
	CHECK(g->paging_set && g->paging == PAGING_NESTED);
	CHECK_EQ(config_guest_set(g, "cpus", "many", why, sizeof(why)), -EINVAL);
	CHECK_STR(why, "cpus: expected a number from 1 to 255, not \"many\"");
	CHECK_EQ(config_guest_set(g, "cdrm", "none", why, sizeof(why)), -EINVAL);
	CHECK_STR(why, "cdrm: unknown key: did you mean cdrom?");
	CHECK_EQ(config_guest_set(g, "zzzzzzzzzzzzz", "none", why, 20), -EINVAL);
	CHECK_EQ(strlen(why), 19);
	CHECK(!g->bad);
}
