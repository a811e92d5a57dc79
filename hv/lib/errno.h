/* Error codes that travel up the stack as negative ints with the names of errno.h. Host
 * builds use the host's own values.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_LIB_ERRNO_H
#define HV_LIB_ERRNO_H

#ifdef PN_HOST
#include <errno.h>
#else
#define ENOENT	  2
#define EIO	  5
#define E2BIG	  7
#define EAGAIN	  11
#define ENOMEM	  12
#define EFAULT	  14
#define EBUSY	  16
#define EEXIST	  17
#define ENODEV	  19
#define EINVAL	  22
#define ENOSPC	  28
#define ERANGE	  34
#define ENOSYS	  38
#define EOVERFLOW 75
#endif

#endif
