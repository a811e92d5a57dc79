# Penumbra: daily targets. build.sh installs packages and fetches sources; this builds from them.
#   make            build/penumbra.iso        make unit fuzz qemu lint     tests
#   make qemu T=x   one emulator test         V=1 shows commands, CC=clang the other compiler
#   B=dir           another build directory   DEBUG=1 assertions and the flush ledger
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
B ?= build
SRC ?= build/src
V ?= 0
ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-7s %s\n' $(1) $(2)
endif
ifeq ($(origin CC),default)
CC := gcc
endif
LD := ld
OBJCOPY := objcopy

WARN := -Wall -Wextra -Wshadow -Wundef -Wvla -Wmissing-prototypes -Werror

# Sources fetched by tools/fetch-sources.sh; unpacked under $(SRC)/{zydis,zycore,busybox}.
SOURCES_STAMP := $(SRC)/.fetched
ZYDIS_INC := -isystem $(SRC)/zydis/include -isystem $(SRC)/zydis/src -isystem $(SRC)/zycore/include \
	-DZYDIS_STATIC_BUILD -DZYCORE_STATIC_BUILD -DZYAN_NO_LIBC -DZYDIS_MINIMAL_MODE -DZYDIS_DISABLE_FORMATTER \
	-DZYDIS_DISABLE_ENCODER -DZYDIS_DISABLE_AVX512 -DZYDIS_DISABLE_KNC

all: $(B)/penumbra.iso
.PHONY: all

# --- the hypervisor ------------------------------------------------------------------------------
HV_CFLAGS := -std=gnu11 -O2 -g -ffreestanding -fno-pic -fno-pie -mno-red-zone -mgeneral-regs-only \
	-mcmodel=kernel -fno-stack-protector -fno-omit-frame-pointer -fno-asynchronous-unwind-tables \
	-fno-strict-aliasing -fcf-protection=none -ffunction-sections -fdata-sections \
	-Iinclude -Ihv -I. $(WARN)
ifeq ($(DEBUG),1)
HV_CFLAGS += -DPN_DEBUG=1
else
HV_CFLAGS += -DPN_DEBUG=0
endif
# On the way of every exit: no frame pointers; a back-trace passes them by.
HOT_SRCS := hv/core/exits.c hv/core/insn.c hv/core/cpuid.c hv/engine/svm/svm.c hv/engine/svm/svm_try.c hv/engine/svm/svm_exit.c \
	hv/engine/vmx/vmx.c hv/engine/vmx/vmx_exit.c \
	hv/core/emulate.c hv/core/linear.c hv/emul/mov64.c hv/trace/trace.c hv/core/cr.c \
	hv/engine/svm/svm_state.c hv/engine/svm/svm_paging.c $(wildcard hv/paging/shadow/*.c)
$(foreach s,$(HOT_SRCS),$(eval EXTRA_CFLAGS_$(subst /,_,$(s)) := -fomit-frame-pointer))
HV_SRCS := $(wildcard firmware/*.c firmware/*.S hv/*/*.c hv/*/*.S hv/*/*/*.c hv/*/*/*.S)
HV_OBJS := $(patsubst %,$(B)/hv/%.o,$(HV_SRCS))
HV_LDS := firmware/penumbra.lds
# Third-party code in the hypervisor, built with its own warnings off.
ZYDIS_SRCS = $(addprefix $(SRC)/zydis/src/,Decoder.c DecoderData.c SharedData.c Register.c Utils.c Segment.c MetaInfo.c Mnemonic.c)
VENDOR_CFLAGS = $(filter-out $(WARN) -Werror,$(HV_CFLAGS)) -w $(ZYDIS_INC)
-include Makefile.vendor

$(B)/hv/%.c.o: %.c | $(SOURCES_STAMP)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(HV_CFLAGS) $(EXTRA_CFLAGS_$(subst /,_,$<)) -MMD -MP -c -o $@ $<
$(B)/hv/%.S.o: %.S
	@mkdir -p $(@D)
	$(call say,AS,$<)
	$(Q)$(CC) $(HV_CFLAGS) -D__ASSEMBLY__ -MMD -MP -c -o $@ $<
-include $(HV_OBJS:.o=.d)

include tools/tools.mk
-include firmware/firmware.mk
-include guestbios/guestbios.mk
-include rootfs/rootfs.mk
-include iso/iso.mk
-include bench/bench.mk
-include tests/unit/unit.mk
-include tests/fuzz/fuzz.mk
-include tests/qemu/qemu.mk
-include tests/sim/sim.mk
-include tests/lint.mk

.PHONY: clean
clean:
	$(Q)rm -rf $(B)/hv $(B)/unit $(B)/fuzz $(B)/guestbios $(B)/*.elf $(B)/*.iso $(B)/*.bin
