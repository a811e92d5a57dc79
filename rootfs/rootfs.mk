# User land and the demo guest: stock Debian kernels on a CD with a busybox/musl initramfs.
#   $(B)/guests/demo.iso          linux-image-cloud-amd64, the guest of `./build.sh run`
#   $(B)/guests/linux-F.iso       the same with another kernel flavour (amd64, 686, 686-pae)
#   $(B)/guests/linux-F-quiet.iso the same whose kernel prints only errors: for slow emulators
G := $(B)/guests
GUEST_CFLAGS := -std=gnu11 -O2 -static -s $(WARN)
# Timestamps of the kernel log stay, and its lines: a boot that hangs then shows where.
GUEST_CMDLINE := console=ttyS0,115200
DEMO_DATA_BYTES := 2097152
APT = PN_BUILD='$(B)' tools/apt.sh

$(B)/rootfs/busybox: rootfs/busybox.config rootfs/busybox.sh | $(SOURCES_STAMP)
	$(call say,BUSYBOX,$@)
	$(Q)rootfs/busybox.sh '$(SRC)/busybox' $< '$@'

$(B)/rootfs/include/linux: rootfs/kernel-headers.sh
	@mkdir -p $(@D)
	$(Q)rootfs/kernel-headers.sh '$(@D)'

$(B)/rootfs/%.amd64: rootfs/demo/%.c $(B)/rootfs/include/linux
	$(call say,MUSLCC,$@)
	$(Q)musl-gcc $(GUEST_CFLAGS) -idirafter $(B)/rootfs/include -o $@ $<

# 32-bit programs: musl and libgcc of the other architecture, unpacked beside ours.
MUSL32 := $(B)/rootfs/musl-i386
$(MUSL32)/.done:
	$(call say,FETCH,musl-dev:i386 libgcc-12-dev:i386 busybox-static:i386)
	@mkdir -p $(@D)
	$(Q)$(APT) deb musl-dev:i386 '$(@D)/musl' >/dev/null
	$(Q)$(APT) deb libgcc-12-dev:i386 '$(@D)/gcc' >/dev/null
	$(Q)$(APT) deb busybox-static:i386 '$(@D)/busybox' >/dev/null
	$(Q)touch $@

musl32_lib = $(MUSL32)/musl/usr/lib/i386-linux-musl
$(B)/rootfs/%.i386: rootfs/demo/%.c $(B)/rootfs/include/linux $(MUSL32)/.done
	$(call say,MUSLCC,$@)
	$(Q)gcc -m32 -fno-pie -no-pie -fno-stack-protector $(GUEST_CFLAGS) -nostdinc -nostdlib \
		-isystem $(MUSL32)/musl/usr/include/i386-linux-musl \
		-isystem $(shell gcc -print-file-name=include) -idirafter $(B)/rootfs/include -o $@ \
		$(musl32_lib)/crt1.o $(musl32_lib)/crti.o $< $(musl32_lib)/libc.a \
		$(MUSL32)/gcc/usr/lib/gcc/i686-linux-gnu/12/libgcc.a $(musl32_lib)/crtn.o

$(B)/rootfs/busybox.amd64: $(B)/rootfs/busybox
	$(Q)cp $< $@
$(B)/rootfs/busybox.i386: $(MUSL32)/.done
	$(Q)cp $(MUSL32)/busybox/bin/busybox $@

$(G)/data.bin: rootfs/demo-data.py
	@mkdir -p $(@D)
	$(Q)/usr/bin/python3 $< '$@' '$(G)/data.crc' $(DEMO_DATA_BYTES)

# Kernels: kept until `rm -r`, whatever the archive does meanwhile.
GUEST_ARCH_cloud-amd64 := amd64
GUEST_ARCH_amd64 := amd64
GUEST_ARCH_686 := i386
GUEST_ARCH_686-pae := i386
GUEST_FLAVOURS := cloud-amd64 amd64 686 686-pae

define GUEST_RULES
$(G)/kernel/$(1)/version: tools/guest-kernel.sh tools/kernel-modules.py
	$(call say,FETCH,linux-image-$(1))
	@mkdir -p $(G)/kernel
	$(Q)PN_BUILD='$(B)' tools/guest-kernel.sh $(1) $(GUEST_ARCH_$(1)) '$$(@D)'
$(G)/initrd-$(1).gz: $(G)/kernel/$(1)/version rootfs/initrd.sh rootfs/pack-initramfs.sh $(G)/data.bin \
		$(foreach p,busybox init selfcheck,$(B)/rootfs/$(p).$(GUEST_ARCH_$(1)))
	$(call say,INITRD,$$@)
	$(Q)rootfs/initrd.sh '$$@' '$(G)/kernel/$(1)' \
		$(foreach p,busybox init selfcheck,'$(B)/rootfs/$(p).$(GUEST_ARCH_$(1))') '$(G)/data.crc'
$(G)/linux-$(1).iso: $(G)/initrd-$(1).gz rootfs/linux-cd.sh
	$(call say,ISO,$$@)
	$(Q)rootfs/linux-cd.sh '$$@' '$(G)/kernel/$(1)/vmlinuz' '$(G)/initrd-$(1).gz' '$(G)/data.bin' \
		'$(GUEST_CMDLINE)'
$(G)/linux-$(1)-quiet.iso: $(G)/initrd-$(1).gz rootfs/linux-cd.sh
	$(call say,ISO,$$@)
	$(Q)rootfs/linux-cd.sh '$$@' '$(G)/kernel/$(1)/vmlinuz' '$(G)/initrd-$(1).gz' '$(G)/data.bin' \
		'$(GUEST_CMDLINE) quiet'
endef
$(foreach f,$(GUEST_FLAVOURS),$(eval $(call GUEST_RULES,$(f))))

$(G)/demo.iso: $(G)/linux-cloud-amd64.iso
	$(Q)ln -f $< $@

.PHONY: guests
guests: $(G)/demo.iso

# --- the control partition ------------------------------------------------------------------------
#   $(B)/vmlinuz          Debian's linux-image-amd64, as it is
#   $(B)/rootfs.cpio.gz   its initramfs: init, busybox, drivers, our programs
R := $(B)/rootfs
MUSL_CFLAGS := -std=gnu11 -O2 -static -s -Iinclude -idirafter $(R)/include $(WARN)
INIT_SRCS := $(wildcard rootfs/init/*.c)

# Programs of other directories: each has a .mk of its own with the rule for $(R)/NAME.
include $(wildcard rootfs/*/*.mk)
CONTROL_PROGRAMS = $(foreach p,penumbrad pnctl,$(if $(wildcard rootfs/$(p)/*.mk),$(R)/$(p)))

$(R)/control.config: rootfs/busybox.config rootfs/control.config
	@mkdir -p $(@D)
	$(Q)cat $^ >$@
$(R)/busybox-control: $(R)/control.config rootfs/busybox.sh | $(SOURCES_STAMP)
	$(call say,BUSYBOX,$@)
	$(Q)rootfs/busybox.sh '$(SRC)/busybox' $< '$@'

$(R)/init: $(INIT_SRCS) rootfs/init/init.h $(R)/include/linux
	$(call say,MUSLCC,$@)
	$(Q)musl-gcc $(MUSL_CFLAGS) -o $@ $(INIT_SRCS)
$(R)/sx: rootfs/sx/sx.c $(R)/include/linux
	$(call say,MUSLCC,$@)
	$(Q)musl-gcc $(MUSL_CFLAGS) -o $@ $<

# Kept, with its package, until `rm -r`; a changed list of drivers needs no network.
$(R)/kernel/version: rootfs/control-kernel.sh rootfs/modules.list tools/kernel-package.sh tools/kernel-modules.py
	$(call say,FETCH,linux-image-amd64)
	@mkdir -p $(R)
	$(Q)PN_BUILD='$(B)' rootfs/control-kernel.sh rootfs/modules.list '$(@D)'
$(B)/vmlinuz: $(R)/kernel/version
	$(Q)cp '$(<D)/vmlinuz' $@
$(B)/rootfs.cpio.gz: rootfs/control-image.sh rootfs/pack-initramfs.sh $(wildcard rootfs/etc/*) $(R)/kernel/version $(R)/busybox-control \
		$(R)/init $(R)/sx $(CONTROL_PROGRAMS)
	$(call say,INITRD,$@)
	$(Q)rootfs/control-image.sh '$@' '$(R)/kernel' '$(R)/busybox-control' '$(R)/init' \
		'$(R)/sx' $(foreach p,$(CONTROL_PROGRAMS),'$(p)')

.PHONY: control
control: $(B)/vmlinuz $(B)/rootfs.cpio.gz
