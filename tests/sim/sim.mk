# `make sim`: the paging policies in simulated machines (docs/adaptive.md), tables on stdout.
SIM_POLICY_SRCS := $(wildcard hv/paging/adaptive/*.c) hv/lib/str.c hv/lib/crc32.c
SIM_SRCS := $(wildcard tests/sim/*.c) $(SIM_POLICY_SRCS)
$(B)/sim/sim: $(SIM_SRCS) $(wildcard tests/sim/*.h hv/paging/adaptive/*.h) tests/sim/sim.mk
	@mkdir -p $(@D)
	$(call say,SIMCC,$@)
	$(Q)$(CC) -std=gnu11 -O2 -g -ffp-contract=off -DPN_HOST -Iinclude -Ihv -Itests/sim $(WARN) -o $@ $(SIM_SRCS) -lm
.PHONY: sim
sim: $(B)/sim/sim
	$(Q)$<
	$(Q)$< --held-out
	$(Q)$< --mmu
UNIT_LIBS_test_policy_regret := -lm
UNIT_LIBS_test_pnpolicy := -lm
UNIT_LIBS_test_sim_mmu := -lm
UNIT_LIBS_test_policy_spaces := -lm
