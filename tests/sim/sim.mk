# `make sim`: the paging policies in simulated machines (docs/adaptive.md), tables on stdout.
SIM_SRCS := $(wildcard tests/sim/*.c) tests/sim/trace/read.c $(POLICY_SRCS)
$(B)/sim/sim: $(SIM_SRCS) $(wildcard tests/sim/*.h tests/sim/*/*.h hv/paging/adaptive/*.h) tests/sim/sim.mk
	@mkdir -p $(@D)
	$(call say,SIMCC,$@)
	$(Q)$(CC) -std=gnu11 -O2 -g -ffp-contract=off -DPN_HOST -Iinclude -Ihv -Itests/sim $(WARN) -o $@ $(SIM_SRCS) -lm
.PHONY: sim
sim: $(B)/sim/sim
	$(Q)$<
	$(Q)$< --held-out
	$(Q)$< --mmu
UNIT_LIBS_test_policy_regret := -lm
UNIT_LIBS_test_policy_promises := -lm
UNIT_LIBS_test_pnpolicy := -lm
UNIT_LIBS_test_sim_mmu := -lm
UNIT_LIBS_test_sim_trace := -lm
UNIT_LIBS_test_policy_spaces := -lm

# Memory traces of the bench loads, recorded natively by a Valgrind tool, and the tables made of them. About a minute
# to record and one to run, 250 MiB in $(B)/sim/traces; SIM_LOADS="chase-96 tcc" for some of them.
VG_LIBS := /usr/lib/x86_64-linux-gnu/valgrind
VG_CFLAGS := -std=gnu11 -O2 -g -fno-strict-aliasing -fno-builtin -fno-stack-protector -fno-pic -DVGO_linux=1 \
	-DVGA_amd64=1 -DVGP_amd64_linux=1 -DVGPV_amd64_linux_vanilla=1 -isystem /usr/include/valgrind -Iinclude \
	-Itests/sim/trace $(WARN)
VG_LDFLAGS := -no-pie -static -nodefaultlibs -nostartfiles -u _start -Wl,--build-id=none -Wl,-Ttext-segment=0x58000000
TOUCH_SRCS := tests/sim/trace/tool.c tests/sim/trace/fold.c
$(B)/sim/valgrind/touch-amd64-linux: $(TOUCH_SRCS) tests/sim/trace/fold.h tests/sim/trace/touch.h
	@mkdir -p $(@D)
	$(call say,VGCC,$@)
	$(Q)gcc $(VG_CFLAGS) $(VG_LDFLAGS) -o $@ $(TOUCH_SRCS) $(VG_LIBS)/libcoregrind-amd64-linux.a \
		$(VG_LIBS)/libvex-amd64-linux.a -lgcc $(VG_LIBS)/libgcc-sup-amd64-linux.a
.PHONY: sim-traces sim-memory
sim-traces: $(B)/sim/sim $(B)/sim/valgrind/touch-amd64-linux $(B)/bench/loads/loads $(B)/bench/loads/tcc
	$(Q)tests/sim/trace/record.sh $< $(B)/sim/valgrind $(B)/bench/loads/loads $(B)/bench/loads/tcc \
		$(SRC)/tcc $(B)/sim/traces $(SIM_LOADS)
sim-memory: sim-traces
	$(Q)$(B)/sim/sim --memory $(B)/sim/traces
