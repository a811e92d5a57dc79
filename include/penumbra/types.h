/* Fixed-width types and small helpers shared by every component, freestanding and hosted.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PENUMBRA_TYPES_H
#define PENUMBRA_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

/* Address spaces. The names say which one a number lives in; the compiler does not check. */
typedef u64 gva_t; /* guest linear address */
typedef u64 gpa_t; /* guest physical address */
typedef u64 hpa_t; /* host physical address */

#define BIT(n)				(1ull << (n))
#define ARRAY_SIZE(a)			(sizeof(a) / sizeof((a)[0]))
#define ALIGN_UP(x, a)			(((x) + ((a)-1)) & ~((__typeof__(x))(a)-1))
#define ALIGN_DOWN(x, a)		((x) & ~((__typeof__(x))(a)-1))
#define MIN(a, b)			((a) < (b) ? (a) : (b))
#define MAX(a, b)			((a) > (b) ? (a) : (b))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096ull
#define KIB	   1024ull
#define MIB	   (1024ull * 1024)
#define GIB	   (1024ull * 1024 * 1024)

#define NSEC_PER_SEC  1000000000ull
#define NSEC_PER_MSEC 1000000ull
#define NSEC_PER_USEC 1000ull

#endif
