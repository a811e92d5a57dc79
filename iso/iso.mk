# Bootable media. The default one carries the demo config and the guest that it names; each carries the
# control partition's kernel and initramfs (control=off on the command line leaves them unused).
ISO_DEPS := $(wildcard iso/*.sh iso/*.py) $(B)/penumbra.elf $(B)/guestbios.bin $(B)/vmlinuz $(B)/rootfs.cpio.gz \
	$(B)/guests/demo.iso
MKISO = iso/mkiso.sh --elf '$(B)/penumbra.elf' --module '$(B)/guestbios.bin' --module '$(B)/vmlinuz' \
	--module '$(B)/rootfs.cpio.gz' --search '$(B)/guests'

$(B)/penumbra.iso: $(ISO_DEPS) configs/demo.conf
	$(call say,ISO,$@)
	$(Q)$(MKISO) --config configs/demo.conf --out '$@'
$(B)/penumbra-isolinux.iso: $(ISO_DEPS) configs/demo.conf
	$(call say,ISO,$@)
	$(Q)$(MKISO) --config configs/demo.conf --loader isolinux --out '$@'

# `make iso CONFIG=f OUT=x.iso [CMDLINE="..."] [LOADER=isolinux]`
CONFIG ?= configs/demo.conf
OUT ?= $(B)/custom.iso
LOADER ?= grub
.PHONY: iso
iso: $(ISO_DEPS)
	$(call say,ISO,$(OUT))
	$(Q)$(MKISO) --config '$(CONFIG)' --out '$(OUT)' --loader '$(LOADER)' $(if $(CMDLINE),--cmdline '$(CMDLINE)')
