/* The TSC's rate and the clock made from it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "firmware/tsc.h"
#include "core/clock.h"
#include "core/cpu.h"
#include "lib/cpuops.h"
#include "lib/errno.h"
#include "lib/muldiv.h"

#define PM_TIMER_HZ   3579545ull
#define PIT_HZ	      1193182ull
#define WINDOW_MS     4
#define WINDOWS	      3	 /* good ones wanted … */
#define WINDOWS_TRIED 24 /* … of at most so many */
/* A window whose ends are known less well than this was disturbed (SMI, outer hypervisor). */
#define GOOD_PPM     2000
#define SAMPLE_TRIES 4
/* A PM timer that has not moved after this many reads is not there. */
#define PM_ALIVE_READS 10000
/* Limits of a loop that waits for a timer, in TSC ticks: 4 s at 1 GHz. */
#define WAIT_TICKS 4000000000ull
/* Assumed when nothing can be measured. */
#define FALLBACK_HZ 1000000000ull
/* A refined rate further off than this is a mistake (a CPU that slept, a timer that wrapped). */
#define REFINE_MAX_PPM	 1000
#define REFINE_MIN_TICKS (PM_TIMER_HZ / 50)

#define PIT_CHANNEL2   0x42
#define PIT_COMMAND    0x43
#define PIT_CH2_MODE0  0xb0 /* channel 2, low then high byte, mode 0: output rises at zero */
#define PORT61	       0x61
#define PORT61_GATE2   0x01
#define PORT61_SPEAKER 0x02
#define PORT61_OUT2    0x20

/* ns = (tsc - base) * mult >> 32 */
static struct {
	u64 base;
	u64 mult;
	u64 ns0; /* clock at @base */
	u64 hz;
} clk;

struct sample {
	u64 tsc;
	u32 pm;
	u64 gap; /* TSC ticks that reading the port took */
};

struct estimate {
	u64 hz;
	u64 ppm; /* how uncertain, from what the port accesses at both ends took */
};

static u16 pm_port;
static u32 pm_mask;
static struct sample first; /* start of the first window, for tsc_refine() */

u64 clock_tsc_hz(void)
{
	return clk.hz;
}

u64 clock_tsc_to_ns(u64 tsc)
{
	u64 t = tsc + (u64)this_cpu()->tsc_delta - clk.base;

	/* A CPU a few ticks behind the base reads the base. */
	if ((s64)t < 0)
		t = 0;
	return clk.ns0 + mul_shift32(t, clk.mult);
}

u64 clock_ns(void)
{
	return clock_tsc_to_ns(rdtsc());
}

void clock_delay_us(u64 us)
{
	u64 start = rdtsc(), ticks = us * (clk.hz ? clk.hz : FALLBACK_HZ * 4) / 1000000;

	while (rdtsc() - start < ticks)
		cpu_pause();
}

/* Set the rate from now on without a jump in the clock. */
static void set_rate(u64 hz, u64 base)
{
	clk.ns0 += mul_shift32(base - clk.base, clk.mult);
	clk.base = base;
	clk.hz = hz;
	clk.mult = (NSEC_PER_SEC << 32) / hz;
}

/* --- PM timer ------------------------------------------------------------------------------- */

/* Of a few tries the one with the quickest port read: least disturbed. */
static struct sample pm_sample(void)
{
	struct sample best = {.gap = UINT64_MAX};

	for (unsigned i = 0; i < SAMPLE_TRIES; i++) {
		u64 t0 = rdtsc_ordered();
		u32 pm = inl(pm_port);
		u64 t1 = rdtsc_ordered();

		if (t1 - t0 < best.gap)
			best = (struct sample){
				.tsc = t0 + (t1 - t0) / 2, .pm = pm & pm_mask, .gap = t1 - t0};
	}
	return best;
}

static bool pm_alive(void)
{
	u32 start = inl(pm_port) & pm_mask;

	for (unsigned i = 0; i < PM_ALIVE_READS; i++)
		if ((inl(pm_port) & pm_mask) != start)
			return true;
	return false;
}

static u64 pm_rate(const struct sample *a, const struct sample *b)
{
	u32 ticks = (b->pm - a->pm) & pm_mask;

	return ticks ? mul_div(b->tsc - a->tsc, PM_TIMER_HZ, ticks) : 0;
}

static u64 ppm_of(u64 part, u64 whole)
{
	return mul_div(part, 1000000, whole);
}

/* False: the timer does not move. */
static bool pm_window(struct estimate *e)
{
	struct sample a = pm_sample(), b;
	u32 want = PM_TIMER_HZ * WINDOW_MS / 1000;

	if (!first.tsc)
		first = a;
	while (((inl(pm_port) - a.pm) & pm_mask) < want)
		if (rdtsc() - a.tsc > WAIT_TICKS)
			return false;
	b = pm_sample();
	e->hz = pm_rate(&a, &b);
	e->ppm = ppm_of((a.gap + b.gap) / 2, b.tsc - a.tsc);
	return e->hz != 0;
}

static bool pm_setup(const struct boot_info *bi)
{
	pm_port = (u16)bi->acpi.pm_timer_port;
	pm_mask = bi->acpi.pm_timer_32bit ? 0xffffffff : 0xffffff;
	if (pm_port && pm_alive())
		return true;
	pm_port = 0;
	return false;
}

/* --- PIT ------------------------------------------------------------------------------------ */

/* False: there is no PIT. */
static bool pit_window(struct estimate *e)
{
	u32 count = PIT_HZ * WINDOW_MS / 1000;
	u8 saved = inb(PORT61);
	u64 before, start, low, now;
	bool out;

	outb(PORT61, (u8)((saved & ~PORT61_SPEAKER) | PORT61_GATE2));
	outb(PIT_COMMAND, PIT_CH2_MODE0);
	outb(PIT_CHANNEL2, (u8)count);
	before = rdtsc_ordered();
	outb(PIT_CHANNEL2, (u8)(count >> 8)); /* counting starts here */
	start = low = now = rdtsc_ordered();
	do {
		u64 t = rdtsc_ordered();

		out = inb(PORT61) & PORT61_OUT2;
		now = rdtsc_ordered();
		if (!out)
			low = t;
	} while (!out && now - start < WAIT_TICKS);
	outb(PORT61, saved);
	/* Output high at once: no PIT. A real one has let hundreds of ticks go by. */
	if (!out || now - start <= count)
		return false;
	/* The start lies between @before and @start, the end between @low and @now. */
	e->hz = mul_div((low + now - before - start) / 2, PIT_HZ, count);
	e->ppm = ppm_of((start - before) + (now - low), now - start);
	return true;
}

/* -------------------------------------------------------------------------------------------- */

static u64 median(const u64 *v)
{
	return MAX(MIN(v[0], v[1]), MIN(MAX(v[0], v[1]), v[2]));
}

/* The median of three good windows; where there are not so many, the best single one. */
static u64 measure(bool (*window)(struct estimate *e))
{
	struct estimate e, best = {.ppm = UINT64_MAX};
	u64 good[WINDOWS];
	unsigned n = 0;

	for (unsigned i = 0; i < WINDOWS_TRIED && n < WINDOWS; i++) {
		if (!window(&e))
			return 0;
		if (e.ppm < best.ppm)
			best = e;
		if (e.ppm <= GOOD_PPM)
			good[n++] = e.hz;
	}
	return n == WINDOWS ? median(good) : best.hz;
}

int tsc_calibrate(struct boot_info *bi)
{
	u64 hz = 0;

	bi->tsc_source = "pmtimer";
	if (pm_setup(bi))
		hz = measure(pm_window);
	if (!hz) {
		bi->tsc_source = "pit";
		hz = measure(pit_window);
	}
	if (!hz) {
		bi->tsc_source = "assumed";
		set_rate(FALLBACK_HZ, bi->tsc_at_entry);
		return -ENODEV;
	}
	set_rate(hz, bi->tsc_at_entry);
	bi->tsc_khz = (u32)((hz + 500) / 1000);
	return 0;
}

void tsc_refine(struct boot_info *bi)
{
	struct sample now;
	u64 hz, diff;

	if (!pm_port || !first.tsc)
		return;
	now = pm_sample();
	/* A 24-bit counter wraps after 4.7 s. */
	if (((now.pm - first.pm) & pm_mask) < REFINE_MIN_TICKS || now.tsc - first.tsc > clk.hz * 4)
		return;
	hz = pm_rate(&first, &now);
	diff = hz > clk.hz ? hz - clk.hz : clk.hz - hz;
	if (diff > clk.hz / 1000000 * REFINE_MAX_PPM)
		return;
	set_rate(hz, rdtsc());
	bi->tsc_khz = (u32)((hz + 500) / 1000);
}
