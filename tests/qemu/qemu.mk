# Emulator tests: `make qemu` (tier ci), `make qemu T=name` (also name~variation, globs), `make qemu-all`.
include tests/qemu/images.mk
QEMU_RUN = PN_BUILD='$(B)' /usr/bin/python3 -B tests/qemu/run.py
QEMU_NEEDS := $(B)/penumbra.elf $(B)/guestbios.bin $(B)/guests/demo.iso $(B)/debug/penumbra.elf \
	$(HOSTILE_ISOS) $(B)/guests/tasks.iso $(B)/guests/state.iso $(PAGING_ISOS) $(B)/bench/nano.iso $(B)/bench/loads.iso $(B)/vmlinuz $(B)/rootfs.cpio.gz $(B)/tools/pncollect $(B)/bench/io.cpio.gz

# The build with assertions and the flush ledger.
.PHONY: FORCE
$(B)/debug/penumbra.elf: FORCE
	$(Q)$(MAKE) --no-print-directory B='$(B)/debug' SRC='$(SRC)' DEBUG=1 $@

.PHONY: qemu qemu-all
# An image that the archive does not yield today costs the tests that boot it (they are skipped by name),
# not the others.
qemu: $(QEMU_NEEDS)
	-$(Q)$(if $(T),:,$(MAKE) -s --no-print-directory -k $(QEMU_IMAGES_CI))
	$(Q)$(QEMU_RUN) --tier ci $(T)
qemu-all: $(QEMU_NEEDS)
	-$(Q)$(MAKE) -s --no-print-directory -k $(QEMU_IMAGES_CI) $(QEMU_IMAGES_NIGHTLY)
	$(Q)$(QEMU_RUN) --tier all
