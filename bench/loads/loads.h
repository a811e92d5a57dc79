/* The loads of the paging benchmark: what each file offers to main.c, and what they share.
 *
 * A load does rounds of fixed work whose result depends on nothing but its parameter: a checksum
 * of it, equal on every machine, shows that the machine did the work right.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_LOADS_LOADS_H
#define BENCH_LOADS_LOADS_H

#include <stddef.h>
#include <stdint.h>

#define PAGE 4096u
#define MIB  (1024u * 1024u)

struct load {
	const char *name;
	const char *param; /* the default */
	/* Before the first round; NULL: nothing. */
	void (*prepare)(const char *param);
	/* One round; its checksum. */
	uint64_t (*round)(const char *param);
};

/* memory.c: tables bigger than a TLB, few page faults. */
void chase_prepare(const char *param);
uint64_t chase(const char *param); /* random pointer chase over PARAM MiB, one page a step */
void gups_prepare(const char *param);
uint64_t gups(const char *param); /* random updates of PARAM MiB */
void stencil_prepare(const char *param);
uint64_t stencil(const char *param); /* PARAM arrays of 1 MiB, swept together page by page */
void stream4k_prepare(const char *param);
uint64_t stream4k(const char *param); /* PARAM MiB in order, every cache line of each page */

/* faults.c: page faults, few TLB misses. */
uint64_t churn(const char *param);     /* map PARAM pages, write each, unmap */
uint64_t allocloop(const char *param); /* malloc and free of PARAM KiB */
uint64_t burst(const char *param);     /* computing with PARAM % of churn in one go */
uint64_t page_test(const char *param); /* grow the heap by PARAM pages, write them, shrink it */
uint64_t brk_test(const char *param);  /* the same by PARAM pages without touching them */

/* processes.c: address spaces that come and go. */
uint64_t forkwait(const char *param);	/* PARAM children that end at once */
uint64_t fork_test(const char *param);	/* PARAM children that write to copied pages */
uint64_t exec_test(const char *param);	/* PARAM children that run another program */
uint64_t memmotion(const char *param);	/* processes one by one: PARAM MiB written, read, freed */
uint64_t spawnstorm(const char *param); /* PARAM young processes alive at a time */
uint64_t compile(const char *param);	/* tcc compiles PARAM, which is itself */

/* mixed.c: loads of others, "A/B/T". */
void phases_prepare(const char *param);
uint64_t phases(const char *param); /* T rounds of A, T rounds of B */
void mix_prepare(const char *param);
uint64_t mix(const char *param); /* T rounds of A and T of B, two processes */

/* main.c. */
const struct load *load_find(const char *name, size_t len);
__attribute__((noreturn)) void die(const char *what);
/* The decimal number in front of @param. */
unsigned number(const char *param);
/* @n pages of private memory, no huge ones. */
uint8_t *pages(size_t n);
/* Bytes or one number into a checksum (FNV-1a). */
#define SUM_START 0xcbf29ce484222325ull
uint64_t sum_bytes(uint64_t sum, const void *bytes, size_t n);
uint64_t sum_number(uint64_t sum, uint64_t n);
/* Xorshift: the next of a fixed sequence. */
uint64_t next_random(uint64_t *state);
/* This program's file, for exec. */
extern const char *self;

#endif
