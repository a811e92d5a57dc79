/* The hypervisor's command line: catches a key or value taken wrongly, a bad word that changes
 * anything, stops the rest or goes unreported, and console settings that would program a wrong
 * UART.
 *
 * SRCS: hv/core/cmdline.c hv/core/config.c hv/core/ini.c hv/core/nearest.c hv/lib/str.c
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "core/cmdline.h"
#include "lib/errno.h"

static struct cmdline cl;
static char log_text[65536];
static unsigned reports;

static void report(void *ctx, const char *word, const char *message)
{
	size_t len = strlen(log_text);

	CHECK(ctx == &cl);
	reports++;
	snprintf(log_text + len, sizeof(log_text) - len, "<%s> %s\n", word, message);
}

static void parse(const char *text)
{
	const struct cmdline_report rep = {report, &cl};

	log_text[0] = '\0';
	reports = 0;
	memset(&cl, 0xa5, sizeof(cl));
	cmdline_parse(&cl, text, &rep);
	CHECK_EQ(cl.errors, reports);
}

/* One bad word: reported with what is right, nothing changed, the words around it still taken. */
static void check_bad(const char *word, const char *want)
{
	static struct cmdline good;
	char text[600];

	parse("stats=3s exit=qemu");
	good = cl;
	good.errors = 1;
	snprintf(text, sizeof(text), "stats=3s %s exit=qemu", word);
	parse(text);
	if (reports != 1 || !strstr(log_text, want)) {
		printf("# \"%s\" gives \"%s\", expected \"%s\"\n", word, log_text, want);
		unit_failures++;
	}
	CHECK(cl.console.port == good.console.port && cl.console.baud == good.console.baud);
	memcpy(&good.console, &cl.console, sizeof(cl.console)); /* has padding */
	CHECK(!memcmp(&cl, &good, sizeof(cl)));
}

TEST(defaults)
{
	static const char *const empty[] = {"", "  \t\r\n "};

	for (size_t i = 0; i < ARRAY_SIZE(empty); i++) {
		parse(empty[i]);
		CHECK_STR(log_text, "");
		CHECK(cl.paging == PAGING_ADAPTIVE);
		CHECK_STR(cl.engine, "auto");
		CHECK(cl.nested && cl.unrestricted && cl.vpid && cl.msr_controls && cl.apic_page &&
		      cl.control);
		CHECK_STR(cl.policy, "regret");
		CHECK(cl.console.kind == CONSOLE_UART && cl.console.port == 0x3f8);
		CHECK(cl.console.baud == 115200 && cl.console.bits == 8 && cl.console.stop == 1 &&
		      cl.console.parity == 'n');
		CHECK(cl.results == RESULTS_JSON && !cl.stats_ns && !cl.screen_ns);
		CHECK(cl.log == LOG_INFO && cl.trace == TRACE_OFF && cl.exit == EXIT_STAY);
		CHECK_STR(cl.guests, "");
		CHECK_STR(cl.shadow, "auto");
		CHECK_STR(cl.pmu, "auto");
		CHECK_STR(cl.paging_per_as, "auto");
		CHECK(!cl.hwcheck && !cl.verbose && !cl.noverrides);
	}
}

TEST(every_key)
{
	parse("paging=nested policy=dsp engine=svm nested=off unrestricted=off vpid=off "
	      "msr_controls=off apic_page=off "
	      "console=com2,9600,7e2 results=ktap,lava stats=500ms log=debug trace=exits "
	      "guests=alpha,b-2 control=off shadow=audit:16 pmu=replay:trace.bin "
	      "paging.per_as=on watch=100ms screen=2s exit=poweroff hwcheck verbose");
	CHECK_STR(log_text, "");
	CHECK(cl.paging == PAGING_NESTED);
	CHECK_STR(cl.engine, "svm");
	CHECK(!cl.nested && !cl.unrestricted && !cl.vpid && !cl.msr_controls && !cl.apic_page &&
	      !cl.control);
	CHECK_STR(cl.policy, "dsp");
	CHECK(cl.console.port == 0x2f8 && cl.console.baud == 9600 && cl.console.bits == 7 &&
	      cl.console.parity == 'e' && cl.console.stop == 2);
	CHECK_EQ(cl.results, RESULTS_KTAP | RESULTS_LAVA);
	CHECK_EQ(cl.stats_ns, 500 * NSEC_PER_MSEC);
	CHECK(cl.log == LOG_DEBUG && cl.trace == TRACE_EXITS);
	CHECK_STR(cl.guests, "alpha,b-2");
	CHECK_STR(cl.shadow, "audit:16");
	CHECK_STR(cl.pmu, "replay:trace.bin");
	CHECK_STR(cl.paging_per_as, "on");
	CHECK(cl.watch_ns == 100 * NSEC_PER_MSEC && !cl.watch_always);
	CHECK_EQ(cl.screen_ns, 2 * NSEC_PER_SEC);
	CHECK(cl.exit == EXIT_POWEROFF && cl.hwcheck && cl.verbose);
}

TEST(bare_words_and_their_long_form)
{
	parse("control=off hwcheck=on verbose=on control");
	CHECK_STR(log_text, "");
	CHECK(cl.control && cl.hwcheck && cl.verbose);
	parse("hwcheck hwcheck=off verbose=off");
	CHECK(!cl.hwcheck && !cl.verbose);
}

TEST(the_last_valid_one_wins)
{
	parse("paging=nested paging=shadow paging=none");
	CHECK_EQ(reports, 1);
	CHECK_EQ(cl.paging, PAGING_SHADOW);
	parse("a.memory=1G a.memory=2G a.cpus=2 b.memory=3G");
	CHECK_EQ(cl.noverrides, 3);
	CHECK_STR(cl.override[0].value, "2G");
}

TEST(bad_words)
{
	static char word[300];

	check_bad("pagin=nested", "<pagin=nested> unknown key: did you mean paging?");
	check_bad("colour=red", "<colour=red> unknown key: expected paging=");
	check_bad("=", "unknown key");
	check_bad("verbos", "did you mean verbose?");
	check_bad("PAGING=nested", "unknown key");
	check_bad("paging=hap", "<paging=hap> paging: expected adaptive, nested or shadow");
	check_bad("paging=", "paging: expected adaptive");
	check_bad("paging", "expected paging=VALUE, VALUE being adaptive");
	check_bad("policy=best", "regret, dsp, chaos or chaos:SEED");
	check_bad("engine=kvm", "auto, svm or vmx");
	check_bad("nested=no", "on or off");
	check_bad("console=com5", "com1..com4");
	check_bad("results=json,", "json, ktap and lava");
	check_bad("results=xml", "json, ktap and lava");
	check_bad("results=jsonjsonjson", "json, ktap and lava");
	check_bad("stats=10", "off or an interval");
	check_bad("screen=1m", "off or an interval");
	check_bad("log=loud", "warn, info or debug");
	check_bad("trace=on", "off, exits, all or policy");
	check_bad("guests=", "guest names");
	check_bad("guests=a,,b", "guest names");
	check_bad("guests=a,hv", "guest names");
	check_bad("control=maybe", "on or off");
	check_bad("watch=1ms", "from 10ms");
	check_bad("watch=never", "from 10ms");
	check_bad("shadow=audit:", "audit:N");
	check_bad("shadow=audit:0", "audit:N");
	check_bad("shadow=audit:00000000000000001", "audit:N");
	check_bad("pmu=replay:", "replay:MODULE");
	check_bad("paging.per_as=2", "auto, on, off");
	check_bad("paging.per_as=chaos:", "chaos:SEED");
	check_bad("paging.per_cpu=on", "paging: is a reserved name");
	check_bad("exit=now", "stay, poweroff, reboot or qemu");
	check_bad("hwcheck=1", "on or off");
	check_bad("Alpha.memory=1G", "Alpha: expected a guest name");
	check_bad("hv.memory=1G", "reserved name");
	check_bad(".memory=1G", "expected a guest name");
	check_bad("a.=1", "expected NAME.key=value");
	check_bad("a.b.c=1", "expected NAME.key=value");
	check_bad("a.memory=", "expected a value of 1 to 127 bytes");
	check_bad("a.memory", "unknown key");
	memset(word, 'x', sizeof(word) - 1);
	check_bad(word, "word too long: expected at most 255 bytes");
	memcpy(word, "a.cdrom=", 8);
	word[8 + 128] = '\0';
	check_bad(word, "expected a value of 1 to 127 bytes");
	memcpy(word, "pmu=replay:", 11);
	word[60] = '\0';
	check_bad(word, "replay:MODULE");
}

TEST(guest_settings_are_kept_as_text)
{
	char text[160] = "a.cdrom=";

	parse("alpha.memory=64M alpha.on_exit=restart policy.window_ms=20");
	CHECK_STR(log_text, "");
	CHECK_EQ(cl.noverrides, 3);
	CHECK_STR(cl.override[0].guest, "alpha");
	CHECK_STR(cl.override[0].key, "memory");
	CHECK_STR(cl.override[0].value, "64M");
	CHECK_STR(cl.override[1].key, "on_exit");
	CHECK_STR(cl.override[2].guest, "policy");
	CHECK_STR(cl.override[2].key, "window_ms");
	memset(text + 8, 'x', 127);
	parse(text);
	CHECK_STR(log_text, "");
	CHECK_EQ(strlen(cl.override[0].value), 127);
}

TEST(too_many_guest_settings)
{
	static char text[4096];

	for (unsigned i = 0; i < CMDLINE_MAX_OVERRIDES + 2; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "a.k%u=v%u ", i, i);
	strcat(text, "a.k0=again");
	parse(text);
	CHECK_EQ(reports, 2);
	CHECK(strstr(log_text, "<a.k64=v64> too many guest settings: expected at most 64"));
	CHECK_EQ(cl.noverrides, CMDLINE_MAX_OVERRIDES);
	CHECK_STR(cl.override[0].value, "again");
}

TEST(the_loaders_file_name_is_passed_over)
{
	parse("/boot/penumbra.elf paging=shadow");
	CHECK_STR(log_text, "");
	CHECK_EQ(cl.paging, PAGING_SHADOW);
	parse("penumbra.elf");
	CHECK_STR(log_text, "");
	parse("paging=nested /boot/penumbra.elf");
	CHECK_EQ(reports, 1);
}

TEST(without_a_reporter)
{
	cmdline_parse(&cl, "nonsense paging=shadow", NULL);
	CHECK_EQ(cl.errors, 1);
	CHECK_EQ(cl.paging, PAGING_SHADOW);
}

TEST(console_grammar)
{
	static const struct {
		const char *text;
		struct console_param want;
	} good[] = {
		{"com1", {CONSOLE_UART, 0x3f8, 115200, 8, 1, 'n'}},
		{"com1,115200,8n1", {CONSOLE_UART, 0x3f8, 115200, 8, 1, 'n'}},
		{"com2,57600", {CONSOLE_UART, 0x2f8, 57600, 8, 1, 'n'}},
		{"com3,auto", {CONSOLE_UART, 0x3e8, 0, 8, 1, 'n'}},
		{"com4,300,5o2", {CONSOLE_UART, 0x2e8, 300, 5, 2, 'o'}},
		{"0x3e8,9600", {CONSOLE_UART, 0x3e8, 9600, 8, 1, 'n'}},
		{"0xE000,19200,7e1", {CONSOLE_UART, 0xe000, 19200, 7, 1, 'e'}},
		{"pci", {CONSOLE_PCI, 0, 115200, 8, 1, 'n'}},
		{"pci,38400", {CONSOLE_PCI, 0, 38400, 8, 1, 'n'}},
		{"vga", {CONSOLE_VGA, 0, 115200, 8, 1, 'n'}},
		{"none", {CONSOLE_NONE, 0, 115200, 8, 1, 'n'}},
	};
	static const char *const bad[] = {"",
					  "com",
					  "com0",
					  "com5",
					  "com11",
					  "COM1",
					  "com1,",
					  "com1,0",
					  "com1,115201",
					  "com1,230400",
					  "com1,10000",
					  "com1,-9600",
					  "com1,4294967296",
					  "com1,9600,",
					  "com1,9600,9n1",
					  "com1,9600,4n1",
					  "com1,9600,8x1",
					  "com1,9600,8n3",
					  "com1,9600,8n",
					  "com1,9600,8n1,x",
					  "0x",
					  "0x3e9",
					  "0x40",
					  "0x10000",
					  "0x3f8z",
					  "0xffffffffffffffff8",
					  "1016",
					  "vga,9600",
					  "none,",
					  "pcie",
					  "com1,9600000000000000000000"};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct console_param p = {0};

		CHECK_EQ(cmdline_parse_console(good[i].text, &p), 0);
		CHECK(p.kind == good[i].want.kind && p.port == good[i].want.port &&
		      p.baud == good[i].want.baud && p.bits == good[i].want.bits &&
		      p.stop == good[i].want.stop && p.parity == good[i].want.parity);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct console_param p = {.port = 0x1234};

		if (cmdline_parse_console(bad[i], &p) != -EINVAL || p.port != 0x1234) {
			printf("# \"%s\" was taken, expected -EINVAL\n", bad[i]);
			unit_failures++;
		}
	}
}

TEST(times_and_sizes)
{
	static const char *const bad_time[] = {"",
					       "s",
					       "1",
					       "1m",
					       "1 s",
					       "-1s",
					       "1.5s",
					       "18446744073710s",
					       "18446744073709551616ms",
					       "1sx",
					       "0x1s"};
	static const char *const bad_size[] = {"",
					       "M",
					       "1X",
					       "1MB",
					       "-1",
					       "1.5G",
					       "17179869184G",
					       "1 M",
					       "0x10",
					       "18446744073709551616"};
	u64 v = 7;

	CHECK(!parse_duration("250ms", &v) && v == 250000000);
	CHECK(!parse_duration("10s", &v) && v == 10000000000);
	CHECK(!parse_duration("0", &v) && v == 0);
	CHECK(!parse_duration("18446744073s", &v) && v == 18446744073000000000ull);
	CHECK(!parse_size("4096", &v) && v == 4096);
	CHECK(!parse_size("16K", &v) && v == 16384);
	CHECK(!parse_size("64m", &v) && v == 64 * MIB);
	CHECK(!parse_size("2G", &v) && v == 2 * GIB);
	CHECK(!parse_size("1T", &v) && v == 1024 * GIB);
	CHECK(!parse_size("17179869183G", &v) && v == 0xffffffffc0000000ull);
	CHECK(!parse_decimal("18446744073709551615", &v) && v == UINT64_MAX);
	v = 7;
	for (size_t i = 0; i < ARRAY_SIZE(bad_time); i++)
		CHECK(parse_duration(bad_time[i], &v) == -EINVAL && v == 7);
	for (size_t i = 0; i < ARRAY_SIZE(bad_size); i++)
		CHECK(parse_size(bad_size[i], &v) == -EINVAL && v == 7);
	CHECK(parse_decimal("18446744073709551616", &v) == -EINVAL && v == 7);
}
