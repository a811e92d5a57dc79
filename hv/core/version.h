/* The version that the boot record shows.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_VERSION_H
#define HV_CORE_VERSION_H

#define PENUMBRA_VERSION "0.1"

#endif
