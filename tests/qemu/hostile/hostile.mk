# Test kernels that misbehave, one CD image per behaviour: $(B)/guests/hostile-NAME.iso. What each does stands in
# hostile.c. Runtime and image rules: bench/bench.mk.
HOSTILE := triple cliloop hltoff badcr3 badstack slow resets flood ports mmio tables tablesout virt msrs desc cr lme \
	storm ipi disk debug wait chatty
HOSTILE_ISOS := $(HOSTILE:%=$(B)/guests/hostile-%.iso)

$(HOSTILE:%=$(B)/tk/hostile-%.o): $(B)/tk/hostile-%.o: tests/qemu/hostile/hostile.c bench/nano/rt.h
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(TK_CFLAGS) -DHOSTILE=$* -c -o $@ $<
$(HOSTILE:%=$(B)/tk/hostile-%.bin): $(B)/tk/hostile-%.bin: $(B)/tk/hostile-%.o $(TK_OBJS) bench/nano/flat.lds
	$(Q)$(call tk_image,$@,$<)
$(HOSTILE_ISOS): $(B)/guests/hostile-%.iso: $(B)/tk/hostile-%.bin
	@mkdir -p $(@D)
	$(call say,ISO,$@)
	$(Q)$(call tk_iso,$@,$<)

.PHONY: hostile
hostile: $(HOSTILE_ISOS)
