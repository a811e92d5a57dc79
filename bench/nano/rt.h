/* What the test kernels stand on: COM1 text, exceptions, privileged instructions, page mappings,
 * power-off. One CPU, interrupts off unless a kernel turns them on.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_NANO_RT_H
#define BENCH_NANO_RT_H

#include "lib/cpuops.h"
#include "penumbra/types.h"

struct trap_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error, rip, cs, rflags, rsp, ss;
};

/* The kernel proper; the machine is powered off when it returns. */
void kernel(void);

/* Text to COM1, 115200 8N1. Waits for the transmitter, but not forever. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void serial_init(void);

/* Called for exceptions outside guard() and for interrupts. True: return to the interrupted code.
 * NULL: an exception is reported and ends the kernel, an interrupt is ignored. */
extern bool (*trap_hook)(struct trap_frame *f);
/* Run @fn(@arg); -1, or the vector of the exception that ended it. Does not nest. */
int guard(void (*fn)(void *arg), void *arg);
/* The latest exception's frame (guard() or not). */
extern struct trap_frame last_trap;
/* Load this kernel's IDT and GDT again after playing with them. */
void load_tables(void);

/* Map one 4 KiB page at @va (in the gigabyte at MAP_BASE, first 2 MiB) to @pa with @flags as in a
 * PTE. */
#define MAP_BASE 0x100000000ull
void map_page(u64 va, u64 pa, u64 flags);
/* That page's entry; who writes it does the INVLPG. */
u64 *map_pte(u64 va);
/* Map the 2 MiB at @pa, wherever it is, at MAP_WINDOW. */
#define MAP_WINDOW (MAP_BASE + 0x200000)
void map_window(u64 pa, u64 flags);
#define PTE_PCD 0x10ull

/* Port of PM1a_CNT by the FADT, 0: no ACPI. */
u16 acpi_pm1_port(void);
/* ACPI S5, else 0x10 to port 0xf4, else halt. */
__attribute__((noreturn)) void power_off(void);

#endif
