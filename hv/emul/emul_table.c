/* Which handler executes which mnemonic. Two levels keep it small: a byte per mnemonic of Zydis,
 * and one entry per instruction known here.
 *
 * SPDX-License-Identifier: MIT
 */
#include <Zydis/Mnemonic.h>

#include "emul/emul_int.h"

/* X(mnemonic, handler, ALU function, argument) */
#define ARITHMETIC(X)                                                                              \
	X(ADD, emul_alu, alu_add, 0)                                                               \
	X(ADC, emul_alu, alu_adc, 0)                                                               \
	X(SUB, emul_alu, alu_sub, 0)                                                               \
	X(SBB, emul_alu, alu_sbb, 0)                                                               \
	X(AND, emul_alu, alu_and, 0)                                                               \
	X(OR, emul_alu, alu_or, 0)                                                                 \
	X(XOR, emul_alu, alu_xor, 0)                                                               \
	X(NOT, emul_alu, alu_not, 0)                                                               \
	X(NEG, emul_alu, alu_neg, 0)                                                               \
	X(INC, emul_alu, alu_inc, 0)                                                               \
	X(DEC, emul_alu, alu_dec, 0)                                                               \
	X(CMP, emul_alu_test, alu_sub, 0)                                                          \
	X(TEST, emul_alu_test, alu_and, 0)                                                         \
	X(ROL, emul_alu, alu_rol, 0)                                                               \
	X(ROR, emul_alu, alu_ror, 0)                                                               \
	X(RCL, emul_alu, alu_rcl, 0)                                                               \
	X(RCR, emul_alu, alu_rcr, 0)                                                               \
	X(SHL, emul_alu, alu_shl, 0)                                                               \
	X(SHR, emul_alu, alu_shr, 0)                                                               \
	X(SAR, emul_alu, alu_sar, 0)                                                               \
	X(SHLD, emul_shxd, alu_shld, 0)                                                            \
	X(SHRD, emul_shxd, alu_shrd, 0)                                                            \
	X(BT, emul_bit, alu_bt, 0)                                                                 \
	X(BTS, emul_bit, alu_bts, 0)                                                               \
	X(BTR, emul_bit, alu_btr, 0)                                                               \
	X(BTC, emul_bit, alu_btc, 0)                                                               \
	X(BSF, emul_scan, alu_bsf, 0)                                                              \
	X(BSR, emul_scan, alu_bsr, 0)                                                              \
	X(TZCNT, emul_scan, alu_tzcnt, 0)                                                          \
	X(LZCNT, emul_scan, alu_lzcnt, 0)                                                          \
	X(POPCNT, emul_scan, alu_popcnt, 0)                                                        \
	X(MUL, emul_muldiv, NULL, 0)                                                               \
	X(IMUL, emul_imul, NULL, 0)                                                                \
	X(DIV, emul_muldiv, NULL, 0)                                                               \
	X(IDIV, emul_muldiv, NULL, 0)                                                              \
	X(XADD, emul_xadd, NULL, 0)                                                                \
	X(CMPXCHG, emul_cmpxchg, NULL, 0)                                                          \
	X(CMPXCHG8B, emul_cmpxchg_wide, NULL, 0)                                                   \
	X(CMPXCHG16B, emul_cmpxchg_wide, NULL, 0)

#define MOVES(X)                                                                                   \
	X(MOV, emul_mov, NULL, 0)                                                                  \
	X(MOVNTI, emul_mov, NULL, 0)                                                               \
	X(MOVZX, emul_movzx, NULL, 0)                                                              \
	X(MOVSX, emul_movsx, NULL, 0)                                                              \
	X(MOVSXD, emul_movsx, NULL, 0)                                                             \
	X(MOVBE, emul_movbe, NULL, 0)                                                              \
	X(BSWAP, emul_bswap, NULL, 0)                                                              \
	X(LEA, emul_lea, NULL, 0)                                                                  \
	X(XCHG, emul_xchg, NULL, 0)                                                                \
	X(CBW, emul_convert, NULL, 0)                                                              \
	X(CWDE, emul_convert, NULL, 0)                                                             \
	X(CDQE, emul_convert, NULL, 0)                                                             \
	X(CWD, emul_convert, NULL, 1)                                                              \
	X(CDQ, emul_convert, NULL, 1)                                                              \
	X(CQO, emul_convert, NULL, 1)                                                              \
	X(XLAT, emul_xlat, NULL, 0)                                                                \
	X(LAHF, emul_lahf, NULL, 0)                                                                \
	X(SAHF, emul_sahf, NULL, 0)                                                                \
	X(CMC, emul_flag, NULL, 0)                                                                 \
	X(CLC, emul_flag, NULL, 0)                                                                 \
	X(STC, emul_flag, NULL, 0)                                                                 \
	X(CLD, emul_flag, NULL, 0)                                                                 \
	X(STD, emul_flag, NULL, 0)                                                                 \
	X(LDS, emul_lfar, NULL, SEG_DS)                                                            \
	X(LES, emul_lfar, NULL, SEG_ES)                                                            \
	X(LSS, emul_lfar, NULL, SEG_SS)                                                            \
	X(LFS, emul_lfar, NULL, SEG_FS)                                                            \
	X(LGS, emul_lfar, NULL, SEG_GS)                                                            \
	X(NOP, emul_nop, NULL, 0)                                                                  \
	X(UD0, emul_undefined, NULL, 0)                                                            \
	X(UD1, emul_undefined, NULL, 0)                                                            \
	X(UD2, emul_undefined, NULL, 0)                                                            \
	X(PAUSE, emul_nop, NULL, 0)                                                                \
	X(LFENCE, emul_nop, NULL, 0)                                                               \
	X(MFENCE, emul_nop, NULL, 0)                                                               \
	X(SFENCE, emul_nop, NULL, 0)                                                               \
	X(PREFETCH, emul_nop, NULL, 0)                                                             \
	X(PREFETCHW, emul_nop, NULL, 0)                                                            \
	X(PREFETCHNTA, emul_nop, NULL, 0)                                                          \
	X(PREFETCHT0, emul_nop, NULL, 0)                                                           \
	X(PREFETCHT1, emul_nop, NULL, 0)                                                           \
	X(PREFETCHT2, emul_nop, NULL, 0)                                                           \
	X(CLFLUSH, emul_cacheline, NULL, 0)                                                        \
	X(CLFLUSHOPT, emul_cacheline, NULL, 0)                                                     \
	X(CLWB, emul_cacheline, NULL, 0)

#define CONDITIONS(X, prefix, fn)                                                                  \
	X(prefix##O, fn, NULL, 0)                                                                  \
	X(prefix##NO, fn, NULL, 0)                                                                 \
	X(prefix##B, fn, NULL, 0)                                                                  \
	X(prefix##NB, fn, NULL, 0)                                                                 \
	X(prefix##Z, fn, NULL, 0)                                                                  \
	X(prefix##NZ, fn, NULL, 0)                                                                 \
	X(prefix##BE, fn, NULL, 0)                                                                 \
	X(prefix##NBE, fn, NULL, 0)                                                                \
	X(prefix##S, fn, NULL, 0)                                                                  \
	X(prefix##NS, fn, NULL, 0)                                                                 \
	X(prefix##P, fn, NULL, 0)                                                                  \
	X(prefix##NP, fn, NULL, 0)                                                                 \
	X(prefix##L, fn, NULL, 0)                                                                  \
	X(prefix##NL, fn, NULL, 0)                                                                 \
	X(prefix##LE, fn, NULL, 0)                                                                 \
	X(prefix##NLE, fn, NULL, 0)

#define CONTROL(X)                                                                                 \
	CONDITIONS(X, J, emul_jcc)                                                                 \
	CONDITIONS(X, SET, emul_setcc)                                                             \
	CONDITIONS(X, CMOV, emul_cmovcc)                                                           \
	X(JMP, emul_jmp, NULL, 0)                                                                  \
	X(CALL, emul_call, NULL, 0)                                                                \
	X(RET, emul_ret, NULL, 0)                                                                  \
	X(JCXZ, emul_jcxz, NULL, 0)                                                                \
	X(JECXZ, emul_jcxz, NULL, 0)                                                               \
	X(JRCXZ, emul_jcxz, NULL, 0)                                                               \
	X(LOOPNE, emul_loop, NULL, 0)                                                              \
	X(LOOPE, emul_loop, NULL, 1)                                                               \
	X(LOOP, emul_loop, NULL, 2)                                                                \
	X(PUSH, emul_push, NULL, 0)                                                                \
	X(POP, emul_pop, NULL, 0)                                                                  \
	X(LEAVE, emul_leave, NULL, 0)                                                              \
	X(ENTER, emul_enter, NULL, 0)

#define STRINGS(X)                                                                                 \
	X(MOVSB, emul_movs, NULL, 0)                                                               \
	X(MOVSW, emul_movs, NULL, 0)                                                               \
	X(MOVSD, emul_movs_or_movsd, NULL, 8)                                                      \
	X(MOVSQ, emul_movs, NULL, 0)                                                               \
	X(STOSB, emul_stos, NULL, 0)                                                               \
	X(STOSW, emul_stos, NULL, 0)                                                               \
	X(STOSD, emul_stos, NULL, 0)                                                               \
	X(STOSQ, emul_stos, NULL, 0)                                                               \
	X(LODSB, emul_lods, NULL, 0)                                                               \
	X(LODSW, emul_lods, NULL, 0)                                                               \
	X(LODSD, emul_lods, NULL, 0)                                                               \
	X(LODSQ, emul_lods, NULL, 0)                                                               \
	X(SCASB, emul_scas, NULL, 0)                                                               \
	X(SCASW, emul_scas, NULL, 0)                                                               \
	X(SCASD, emul_scas, NULL, 0)                                                               \
	X(SCASQ, emul_scas, NULL, 0)                                                               \
	X(CMPSB, emul_cmps, NULL, 0)                                                               \
	X(CMPSW, emul_cmps, NULL, 0)                                                               \
	X(CMPSD, emul_cmpsd, NULL, 0)                                                              \
	X(CMPSQ, emul_cmps, NULL, 0)                                                               \
	X(INSB, emul_ins, NULL, 0)                                                                 \
	X(INSW, emul_ins, NULL, 0)                                                                 \
	X(INSD, emul_ins, NULL, 0)                                                                 \
	X(OUTSB, emul_outs, NULL, 0)                                                               \
	X(OUTSW, emul_outs, NULL, 0)                                                               \
	X(OUTSD, emul_outs, NULL, 0)                                                               \
	X(IN, emul_in, NULL, 0)                                                                    \
	X(OUT, emul_out, NULL, 0)

/* A vector move in its SSE form and, with V before its name, in its AVX form. */
#define VECTOR(X, name, argument)                                                                  \
	X(name, emul_vec_move, NULL, argument) X(V##name, emul_vec_move, NULL, argument)
#define VECTORS(X)                                                                                 \
	VECTOR(X, MOVUPS, 0)                                                                       \
	VECTOR(X, MOVUPD, 0)                                                                       \
	VECTOR(X, MOVDQU, 0)                                                                       \
	VECTOR(X, LDDQU, 0)                                                                        \
	VECTOR(X, MOVAPS, VEC_ALIGNED)                                                             \
	VECTOR(X, MOVAPD, VEC_ALIGNED)                                                             \
	VECTOR(X, MOVDQA, VEC_ALIGNED)                                                             \
	VECTOR(X, MOVNTPS, VEC_ALIGNED)                                                            \
	VECTOR(X, MOVNTPD, VEC_ALIGNED)                                                            \
	VECTOR(X, MOVNTDQ, VEC_ALIGNED)                                                            \
	VECTOR(X, MOVNTDQA, VEC_ALIGNED)                                                           \
	VECTOR(X, MOVD, 4)                                                                         \
	VECTOR(X, MOVQ, 8)                                                                         \
	VECTOR(X, MOVSS, 4)                                                                        \
	X(VMOVSD, emul_vec_move, NULL, 8)                                                          \
	X(MOVLPS, emul_vec_move, NULL, 8 | VEC_MERGE)                                              \
	X(MOVLPD, emul_vec_move, NULL, 8 | VEC_MERGE)                                              \
	X(MOVHPS, emul_vec_move, NULL, 8 | VEC_MERGE | VEC_HIGH)                                   \
	X(MOVHPD, emul_vec_move, NULL, 8 | VEC_MERGE | VEC_HIGH)

/* Instructions that no guest's CPUID shows (core/cpuid.c) but that a CPU may know and carry as far
 * as their memory operand before an intercept stops them. */
#define HIDDEN(X)                                                                                  \
	X(MONITOR, emul_undefined, NULL, 0)                                                        \
	X(MWAIT, emul_undefined, NULL, 0)                                                          \
	X(MONITORX, emul_undefined, NULL, 0)                                                       \
	X(MWAITX, emul_undefined, NULL, 0)                                                         \
	X(UMONITOR, emul_undefined, NULL, 0)                                                       \
	X(INVPCID, emul_undefined, NULL, 0)                                                        \
	X(XSAVES, emul_undefined, NULL, 0)                                                         \
	X(XSAVES64, emul_undefined, NULL, 0)                                                       \
	X(XRSTORS, emul_undefined, NULL, 0)                                                        \
	X(XRSTORS64, emul_undefined, NULL, 0)                                                      \
	X(ENQCMD, emul_undefined, NULL, 0)                                                         \
	X(ENQCMDS, emul_undefined, NULL, 0)                                                        \
	X(PTWRITE, emul_undefined, NULL, 0)                                                        \
	X(RSTORSSP, emul_undefined, NULL, 0)                                                       \
	X(CLRSSBSY, emul_undefined, NULL, 0)                                                       \
	X(WRSSD, emul_undefined, NULL, 0)                                                          \
	X(WRSSQ, emul_undefined, NULL, 0)                                                          \
	X(WRUSSD, emul_undefined, NULL, 0)                                                         \
	X(WRUSSQ, emul_undefined, NULL, 0)

#define EVERY(X) ARITHMETIC(X) MOVES(X) CONTROL(X) STRINGS(X) VECTORS(X) HIDDEN(X)

#define AS_ENUM(name, handler, fn, argument) OP_##name,
enum op_index { OP_NONE, EVERY(AS_ENUM) OP_COUNT };
_Static_assert(OP_COUNT <= 256, "an index fits a byte");

#define AS_ENTRY(name, handler, fn, argument)                                                      \
	[OP_##name] = {.run = handler, .alu = fn, .arg = argument},
static const struct emul_op entries[OP_COUNT] = {EVERY(AS_ENTRY)};

#define AS_INDEX(name, handler, fn, argument) [ZYDIS_MNEMONIC_##name] = OP_##name,
static const u8 index_of[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {EVERY(AS_INDEX)};

const struct emul_op *emul_op_find(unsigned mnemonic)
{
	unsigned n = mnemonic < ARRAY_SIZE(index_of) ? index_of[mnemonic] : OP_NONE;

	return n == OP_NONE ? NULL : &entries[n];
}

const struct emul_op *const emul_op_mov = &entries[OP_MOV];
const struct emul_op *const emul_op_movzx = &entries[OP_MOVZX];
const struct emul_op *const emul_op_movsx = &entries[OP_MOVSX];
