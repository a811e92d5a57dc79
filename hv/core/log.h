/* Everything the hypervisor and its partitions say: one lock around the serial multiplexer, the
 * record store and the console.
 *
 * After log_init() nothing waits for the UART: output goes into the multiplexer's ring, which
 * whoever writes drains as far as the FIFO takes it; a timer drains the rest.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_LOG_H
#define HV_CORE_LOG_H

#include "chan/records.h"
#include "core/cmdline.h"

/* Before: console_write(). After: the multiplexer. */
void log_init(const struct cmdline *c);
/* On CPU 0, once its interrupts work: bytes typed wake it. */
void log_enable_input(void);
/* A source of lines; returns its id or -ENOSPC. */
int log_add_source(const char *name);
/* Another name for one that nobody uses at the moment. */
void log_rename_source(int src, const char *name);
/* Lines of @src belong to partition @index for Ctrl-] focus. */
void log_set_partition(unsigned index, int src);
/* Bytes from a partition, in its own CPU's context. */
void log_write(int src, const char *buf, size_t len);
/* False while @src must be held back; then this CPU's guests are asked again when the line moves.
 */
bool log_room(int src);
/* @n bytes just said because of what a guest did count as output of its @src. */
void log_charge(int src, unsigned n);
/* Partition @index has the line to itself for @ns more; 0: no longer. mux_transfer_begin()'s
 * errors.
 */
int log_transfer(unsigned index, u64 ns);
/* A line of the hypervisor's own, prefixed hv|. */
void hv_log(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A line as it stands, at column 0 and not prefixed, for readers of other formats. Never dropped as
 * long as no more than LOG_PLAIN_MAX bytes of such lines wait for room. Any CPU. */
#define LOG_PLAIN_MAX 4096
void log_plain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Finish and send a record. @may_drop: a periodic one, which a full line may lose. Any CPU. */
void record_send(struct record *r, bool may_drop);
/* Finish and send one that is not numbered nor kept; false: no room. */
bool record_send_unkept(struct record *r);
/* The first kept record from number *@seq on, as record_look(). Any CPU. */
unsigned log_record(u64 *seq, char *line);
/* A byte for partition @index as if typed on the line. False: no room. CPU 0. */
bool log_type(unsigned index, u8 byte);
/* Bytes that wait for the UART, and records dropped so far. Without the lock: a hint. */
u32 log_waiting(void);
u64 log_records_dropped(void);
/* Guests are about to own the display: what the console says goes on by its UART, if it has one. */
void log_leave_screen(void);
/* Receive keys (CPU 0), flush partial lines, drain to the UART. From cpu_service(). */
void log_service(void);
/* Write out all that is in the ring, waiting for the UART: only when the machine is about to end.
 */
void log_drain(void);
/* The same before the machine is switched off or restarted: what other CPUs say from now on stays
 * in the ring, so that the line does not end in the middle of a record. */
void log_drain_last(void);

/* In a panic: what is in the ring, then an error record, straight to the console and without the
 * lock. */
void log_panic(const char *reason);

#endif
