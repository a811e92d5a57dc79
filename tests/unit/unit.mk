# Unit tests: one program per tests/unit/test_*.c, linked with the sources its "SRCS:" line names.
# Host compiler, ASan and UBSan, every warning an error.
UNIT_TESTS := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
UNIT_CC ?= gcc
UNIT_CFLAGS := -std=gnu11 -O1 -g -DPN_HOST -Iinclude -Ihv -I. -Itests/unit $(WARN) \
	-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer $(ZYDIS_INC)
# Any header may be in any of them.
TEST_HEADERS := $(wildcard tests/*/*.h tests/*/*/*.h hv/*/*.h hv/*/*/*.h include/penumbra/*.h firmware/*.h guestbios/*.h guestbios/*/*.h \
	rootfs/*/*.h tools/*/*.h)
unit_srcs = $(shell sed -n 's/.*SRCS: *//p' tests/unit/$(1).c)

# vmx_switch() names every register.
UNIT_LIBS_test_vmx_engine := -fomit-frame-pointer

UNIT_LIBS_test_watch := -lm

UNIT_CFLAGS_test_shadow_mutations := -DSHADOW_MUTATIONS
UNIT_CFLAGS_test_shadow_mixed := -DSHADOW_MUTATIONS

define UNIT_RULE
$(B)/unit/$(1): tests/unit/$(1).c $(call unit_srcs,$(1)) $(TEST_HEADERS) | $(SOURCES_STAMP)
	@mkdir -p $$(@D)
	$(call say,UNITCC,$$@)
	$(Q)$(UNIT_CC) $(UNIT_CFLAGS) $$(UNIT_CFLAGS_$(1)) -o $$@ tests/unit/$(1).c $$(call unit_srcs,$(1)) $$(UNIT_LIBS_$(1))
endef
$(foreach t,$(UNIT_TESTS),$(eval $(call UNIT_RULE,$(t))))

# Tests that are scripts build what they run.
UNIT_SCRIPTS := tests/unit/mutants.py tests/unit/sim_memory.py
.PHONY: unit
unit: $(UNIT_TESTS:%=$(B)/unit/%) | $(B)/sim/sim $(B)/sim/valgrind/touch-amd64-linux $(B)/bench/loads/loads
	$(Q)UNIT_CC='$(UNIT_CC)' B='$(B)' tests/unit/run.sh $^ $(UNIT_SCRIPTS)
