# Third-party text: unpacked once by apt (see tools/fetch-sources.sh), then offline.
$(SOURCES_STAMP): tools/sources.manifest tools/fetch-sources.sh
	$(Q)tools/fetch-sources.sh '$(@D)'

# --- pncollect: the reader of the serial line; TOOL_CC=musl-gcc TOOL_LDFLAGS=-static for a program
# that runs on any Linux ---
TOOL_CC ?= $(CC)
TOOL_LDFLAGS ?=
TOOL_CFLAGS := -std=gnu11 -O2 -g -DPN_HOST -D_FORTIFY_SOURCE=2 -Iinclude -Ihv $(WARN)
PNCOLLECT_SRCS := $(wildcard tools/pncollect/*.c) hv/lib/crc32.c
.PHONY: tools
tools: $(B)/tools/pncollect
$(B)/tools/pncollect: $(PNCOLLECT_SRCS) $(wildcard tools/pncollect/*.h) include/penumbra/trace.h tools/tools.mk
	@mkdir -p $(@D)
	$(call say,TOOLCC,$@)
	$(Q)$(TOOL_CC) $(TOOL_CFLAGS) -o $@ $(PNCOLLECT_SRCS) $(TOOL_LDFLAGS)

# --- pnpolicy: recorded samples through the paging policies, with the hypervisor's sources ---
# What beside them takes samples has a machine below it.
POLICY_SRCS := $(patsubst %,hv/paging/adaptive/%.c,budget cost dsp guard params policy regret replay sample spaces telemetry window) \
	hv/lib/str.c hv/lib/crc32.c
PNPOLICY_SRCS := $(wildcard tools/pnpolicy/*.c) $(POLICY_SRCS)
tools: $(B)/tools/pnpolicy
$(B)/tools/pnpolicy: $(PNPOLICY_SRCS) $(wildcard tools/pnpolicy/*.h hv/paging/adaptive/*.h) tools/tools.mk
	@mkdir -p $(@D)
	$(call say,TOOLCC,$@)
	$(Q)$(TOOL_CC) $(TOOL_CFLAGS) -o $@ $(PNPOLICY_SRCS) $(TOOL_LDFLAGS)
