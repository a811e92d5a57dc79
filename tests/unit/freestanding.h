/* Lets a host test call hv/lib's own functions beside the C library's: includes their sources under
 * names with pn_ in front. Include after unit.h.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_UNIT_FREESTANDING_H
#define TESTS_UNIT_FREESTANDING_H

#include <stdarg.h>

#undef PN_HOST
#define memcpy	  pn_memcpy
#define memmove	  pn_memmove
#define memset	  pn_memset
#define memcmp	  pn_memcmp
#define memchr	  pn_memchr
#define strlen	  pn_strlen
#define strnlen	  pn_strnlen
#define strcmp	  pn_strcmp
#define strncmp	  pn_strncmp
#define strchr	  pn_strchr
#define strrchr	  pn_strrchr
#define strstr	  pn_strstr
#define vsnprintf pn_vsnprintf
#define snprintf  pn_snprintf
#define str_copy  pn_str_copy
#include "../../hv/lib/fmt.c"
#include "../../hv/lib/str.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef memchr
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr
#undef strrchr
#undef strstr
#undef vsnprintf
#undef snprintf
#undef str_copy
#define PN_HOST 1

#endif
