/* Recorded bench loads (bench/loads) under the policies.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SIM_REAL_H
#define TESTS_SIM_REAL_H

/* How to record them, a line each: NAME LOAD PARAM ROUNDS LINES MILLIONS. */
void real_list(void);
/* Tables from DIR/NAME.touch; those that are missing are named. 0, or 1 if there are none. */
int real_tables(const char *dir);

#endif
