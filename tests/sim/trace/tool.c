/* A Valgrind tool that records what a program touches (touch.h):
 *
 *   valgrind --tool=touch --to=FILE [--lines=N] [--take=M] [--most=M] PROGRAM...
 *
 * --lines: times that a process writes to its standard output before it is recorded (pages touched
 * meanwhile are remembered); --take: millions of instructions that are recorded of each process;
 * --most: MiB that FILE may have. Then the program is ended. FILE is appended to, so that children
 * that run other programs (--trace-children=yes) write to the same; one that finds something in it
 * records from its start.
 *
 * Only user mode is seen. Built against Debian's valgrind, whose core is under the GPL.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fold.h"

#include "pub_tool_basics.h"
#include "pub_tool_libcassert.h"
#include "pub_tool_libcbase.h"
#include "pub_tool_libcfile.h"
#include "pub_tool_libcprint.h"
#include "pub_tool_libcproc.h"
#include "pub_tool_machine.h"
#include "pub_tool_mallocfree.h"
#include "pub_tool_options.h"
#include "pub_tool_tooliface.h"
#include "pub_tool_vki.h"
#include "pub_tool_vkiscnums.h"

static struct fold fold;
static const HChar *file_name;
static Int file = -1;
static Long lines, take_millions = 1000, most_mib = 64;

#define MILLION_ULL 1000000ull

/* --- the file --------------------------------------------------------------------------------- */

static void write_chunk(void *ctx, const void *bytes, size_t size)
{
	(void)ctx;
	if (VG_(write)(file, bytes, (Int)size) != (Int)size)
		VG_(tool_panic)("cannot write the trace");
	if (VG_(lseek)(file, 0, VKI_SEEK_END) < most_mib * (Long)MIB)
		return;
	VG_(exit)(0);
}

static void *zeroed(void *ctx, size_t size)
{
	(void)ctx;
	return VG_(calloc)("touch", 1, size);
}

static void open_file(void)
{
	if (!file_name) {
		VG_(umsg)("--to=FILE is missing\n");
		VG_(exit)(2);
	}
	file = VG_(fd_open)(file_name, VKI_O_WRONLY | VKI_O_CREAT | VKI_O_APPEND, 0644);
	if (file < 0) {
		VG_(umsg)("cannot open %s\n", file_name);
		VG_(exit)(2);
	}
	file = VG_(safe_fd)(file);
}

/* --- what the program does -------------------------------------------------------------------- */

static VG_REGPARM(2) void on_fetch(Addr at, SizeT size)
{
	fold_fetch(&fold, at, size);
	if (fold.recorded > (ULong)take_millions * MILLION_ULL) {
		fold_end(&fold);
		VG_(exit)(0);
	}
}

static VG_REGPARM(2) void on_read(Addr at, SizeT size)
{
	fold_data(&fold, at, size, false);
}

static VG_REGPARM(2) void on_write(Addr at, SizeT size)
{
	fold_data(&fold, at, size, true);
}

static void on_unmap(Addr at, SizeT size)
{
	fold_drop(&fold, at, size);
}

/* Where a process may give way to another, or end. */
static void before_call(ThreadId tid, UInt number, UWord *args, UInt n)
{
	(void)tid;
	(void)args;
	(void)n;
	switch (number) {
	case __NR_execve:
	case __NR_exit_group:
		fold_end(&fold);
		break;
	case __NR_read:
	case __NR_wait4:
	case __NR_sched_yield:
	case __NR_nanosleep:
	case __NR_clock_nanosleep:
		fold_flush(&fold);
		break;
	default:
		break;
	}
}

static void after_call(ThreadId tid, UInt number, UWord *args, UInt n, SysRes result)
{
	(void)tid;
	(void)n;
	(void)result;
	if (!fold.quiet || (number != __NR_write && number != __NR_writev) || args[0] != 1)
		return;
	if (!--lines)
		fold_aloud(&fold);
}

static void before_fork(ThreadId tid)
{
	(void)tid;
	fold_protect(&fold);
	fold_flush(&fold);
}

static void in_child(ThreadId tid)
{
	(void)tid;
	fold_start(&fold, (u32)VG_(getpid)());
}

/* --- instrumentation -------------------------------------------------------------------------- */

typedef VG_REGPARM(2) void handler(Addr, SizeT);

static void call(IRSB *out, const HChar *name, handler *fn, IRExpr *at, UWord size, IRExpr *guard)
{
	IRDirty *d = unsafeIRDirty_0_N(2, name, VG_(fnptr_to_fnentry)((void *)fn),
				       mkIRExprVec_2(at, mkIRExpr_HWord(size)));

	if (guard)
		d->guard = guard;
	addStmtToIRSB(out, IRStmt_Dirty(d));
}

#define CALL(out, fn, at, size, guard) call(out, #fn, fn, at, size, guard)

static UWord size_of(IRSB *out, IRExpr *e)
{
	return (UWord)sizeofIRType(typeOfIRExpr(out->tyenv, e));
}

static void see_cas(IRSB *out, IRCAS *cas)
{
	UWord size = size_of(out, cas->dataLo) * (cas->dataHi ? 2 : 1);

	CALL(out, on_read, cas->addr, size, NULL);
	CALL(out, on_write, cas->addr, size, NULL);
}

static void see_load_guarded(IRSB *out, IRLoadG *load)
{
	IRType wide, narrow;

	typeOfIRLoadGOp(load->cvt, &wide, &narrow);
	CALL(out, on_read, load->addr, (UWord)sizeofIRType(narrow), load->guard);
}

static void see_statement(IRSB *out, IRStmt *s)
{
	switch (s->tag) {
	case Ist_IMark:
		CALL(out, on_fetch, mkIRExpr_HWord(s->Ist.IMark.addr), s->Ist.IMark.len, NULL);
		break;
	case Ist_WrTmp:
		if (s->Ist.WrTmp.data->tag == Iex_Load)
			CALL(out, on_read, s->Ist.WrTmp.data->Iex.Load.addr,
			     (UWord)sizeofIRType(s->Ist.WrTmp.data->Iex.Load.ty), NULL);
		break;
	case Ist_Store:
		CALL(out, on_write, s->Ist.Store.addr, size_of(out, s->Ist.Store.data), NULL);
		break;
	case Ist_StoreG:
		CALL(out, on_write, s->Ist.StoreG.details->addr,
		     size_of(out, s->Ist.StoreG.details->data), s->Ist.StoreG.details->guard);
		break;
	case Ist_LoadG:
		see_load_guarded(out, s->Ist.LoadG.details);
		break;
	case Ist_CAS:
		see_cas(out, s->Ist.CAS.details);
		break;
	case Ist_Dirty:
		if (s->Ist.Dirty.details->mFx == Ifx_Read ||
		    s->Ist.Dirty.details->mFx == Ifx_Modify)
			CALL(out, on_read, s->Ist.Dirty.details->mAddr,
			     (UWord)s->Ist.Dirty.details->mSize, NULL);
		if (s->Ist.Dirty.details->mFx == Ifx_Write ||
		    s->Ist.Dirty.details->mFx == Ifx_Modify)
			CALL(out, on_write, s->Ist.Dirty.details->mAddr,
			     (UWord)s->Ist.Dirty.details->mSize, NULL);
		break;
	default:
		break;
	}
}

static IRSB *instrument(VgCallbackClosure *closure, IRSB *in, const VexGuestLayout *layout,
			const VexGuestExtents *extents, const VexArchInfo *arch, IRType guest_word,
			IRType host_word)
{
	IRSB *out = deepCopyIRSBExceptStmts(in);
	Int i = 0;

	(void)closure;
	(void)layout;
	(void)extents;
	(void)arch;
	(void)guest_word;
	(void)host_word;
	for (; i < in->stmts_used && in->stmts[i]->tag != Ist_IMark; i++)
		addStmtToIRSB(out, in->stmts[i]);
	for (; i < in->stmts_used; i++) {
		see_statement(out, in->stmts[i]);
		addStmtToIRSB(out, in->stmts[i]);
	}
	return out;
}

/* --- the tool --------------------------------------------------------------------------------- */

static Bool take_option(const HChar *arg)
{
	return VG_STR_CLO(arg, "--to", file_name) ||
	       VG_BINT_CLO(arg, "--lines", lines, 0, 1000000) ||
	       VG_BINT_CLO(arg, "--take", take_millions, 1, 1000000) ||
	       VG_BINT_CLO(arg, "--most", most_mib, 1, 1024);
}

static void print_usage(void)
{
	VG_(printf)("    --to=FILE    --lines=N    --take=MILLIONS    --most=MIB\n");
}

static void print_debug_usage(void)
{
}

static void start(void)
{
	open_file();
	fold.write = write_chunk;
	fold.zeroed = zeroed;
	fold_start(&fold, (u32)VG_(getpid)());
	fold.quiet = lines && !VG_(lseek)(file, 0, VKI_SEEK_END);
}

static void end(Int status)
{
	(void)status;
	fold_end(&fold);
}

static void introduce(void)
{
	VG_(details_name)("touch");
	VG_(details_version)(NULL);
	VG_(details_description)("records memory touched");
	VG_(details_copyright_author)("");
	VG_(details_bug_reports_to)("");
	VG_(details_avg_translation_sizeB)(300);
	VG_(basic_tool_funcs)(start, instrument, end);
	VG_(needs_command_line_options)(take_option, print_usage, print_debug_usage);
	VG_(needs_syscall_wrapper)(before_call, after_call);
	VG_(track_die_mem_munmap)(on_unmap);
	VG_(track_die_mem_brk)(on_unmap);
	VG_(atfork)(before_fork, NULL, in_child);
}

VG_DETERMINE_INTERFACE_VERSION(introduce)
