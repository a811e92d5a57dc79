# A guest with more page tables than a hypervisor will shadow (thrash.c): $(B)/guests/thrash.iso. Runtime and image
# rules: bench/bench.mk.
$(B)/tk/thrash.bin: $(B)/tk/tests/qemu/thrash/thrash.c.o $(TK_OBJS) bench/nano/flat.lds
	$(Q)$(call tk_image,$@,$<)
$(B)/guests/thrash.iso: $(B)/tk/thrash.bin
	@mkdir -p $(@D)
	$(call say,ISO,$@)
	$(Q)$(call tk_iso,$@,$<)
