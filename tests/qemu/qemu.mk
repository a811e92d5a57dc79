# Emulator tests: `make qemu` (tier ci), `make qemu T=name` (also name~variation, globs), `make qemu-all`.
QEMU_RUN = PN_BUILD='$(B)' /usr/bin/python3 -B tests/qemu/run.py
QEMU_NEEDS := $(B)/penumbra.elf $(B)/guestbios.bin $(B)/guests/demo.iso $(B)/penumbra.iso

.PHONY: qemu qemu-all
qemu: $(QEMU_NEEDS) $(QEMU_IMAGES_CI)
	$(Q)$(QEMU_RUN) --tier ci $(T)
qemu-all: $(QEMU_NEEDS) $(QEMU_IMAGES_CI) $(QEMU_IMAGES_NIGHTLY)
	$(Q)$(QEMU_RUN) --tier all
