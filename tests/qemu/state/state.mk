# The guest of what a CPU has only once (state.c): $(B)/guests/state.iso. Runtime and image rules: bench/bench.mk.
$(B)/tk/state.bin: $(B)/tk/tests/qemu/state/state.c.o $(TK_OBJS) bench/nano/flat.lds
	$(call say,LD,$@)
	$(Q)$(call tk_image,$@,$<)
$(B)/guests/state.iso: $(B)/tk/state.bin
	@mkdir -p $(@D)
	$(call say,ISO,$@)
	$(Q)$(call tk_iso,$@,$<)
