# Fuzzers: one libFuzzer program per tests/fuzz/fuzz_*.c, linked with the sources its "SRCS:" line
# names (and the decoder if it has "LIBS: zydis"). Needs Debian's clang and libclang-rt-14-dev.
#   make fuzz                     each for FUZZ_SECONDS (20), two at a time
#   make fuzz F=config            that one; FUZZ_SECONDS=3600 for a long run
# Seeds: tests/fuzz/corpus/NAME/. What a run finds goes to $(B)/fuzz/, crashing inputs too.
F ?= *
FUZZ_SECONDS ?= 20
FUZZ_CC ?= clang
FUZZ_TESTS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_$(F).c))
FUZZ_CFLAGS := -std=gnu11 -O1 -g -DPN_HOST -Iinclude -Ihv -Itests/fuzz -Itests/unit $(WARN) \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer $(ZYDIS_INC)
fuzz_srcs = $(shell sed -n 's/.*SRCS: *//p' tests/fuzz/$(1).c)
fuzz_libs = $(if $(shell sed -n 's/.*LIBS: *zydis/x/p' tests/fuzz/$(1).c),$(VENDOR_HOST_LIB))

define FUZZ_RULE
$(B)/fuzz/$(1): tests/fuzz/$(1).c $(call fuzz_srcs,$(1)) $(call fuzz_libs,$(1)) \
		$(TEST_HEADERS) | $(SOURCES_STAMP)
	@mkdir -p $$(@D)
	$(call say,FUZZCC,$$@)
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -o $$@ tests/fuzz/$(1).c $(call fuzz_srcs,$(1)) $(call fuzz_libs,$(1))
endef
$(foreach t,$(FUZZ_TESTS),$(eval $(call FUZZ_RULE,$(t))))

.PHONY: fuzz
fuzz: $(FUZZ_TESTS:%=$(B)/fuzz/%)
	$(Q)FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run.sh $(B)/fuzz $^
