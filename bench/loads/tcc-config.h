/* The compiler that the load "tcc" runs and compiles: what its configure script would have found.
 * SPDX-License-Identifier: MIT
 */
#define TCC_VERSION	"0.9.27"
#define CONFIG_TCCDIR	"/tcc/src"
#define CONFIG_TCC_MUSL 1
#define GCC_MAJOR	12
#define GCC_MINOR	2
