# Unmodified guests for the emulator tests, from Debian packages (tools/guest-image.sh, rootfs/rootfs.mk).
BOOT_IMAGES := memtest-ia32.iso memtest-x64.iso grub-rescue.iso grub-rescue.img ipxe.iso \
	grub-selftest.iso grub-pam.iso grub-legacy.img syslinux.img
$(BOOT_IMAGES:%=$(G)/%): $(G)/%: tools/guest-image.sh
	$(call say,IMAGE,$@)
	$(Q)PN_BUILD='$(B)' tools/guest-image.sh '$*' '$@'

QEMU_IMAGES_CI := $(G)/adversary.iso $(G)/linux-686.iso $(G)/linux-686-pae.iso $(G)/linux-cloud-amd64-quiet.iso \
	$(BOOT_IMAGES:%=$(G)/%)
QEMU_IMAGES_NIGHTLY := $(G)/bench-steps.iso $(G)/mmapstorm.iso $(G)/thrash.iso $(G)/linux-amd64.iso $(G)/linux-amd64-quiet.iso \
	$(G)/linux-686-quiet.iso $(G)/linux-686-pae-quiet.iso
