# Workloads that run in guests and natively: a bootable kernel of ring-0 loops (bench/nano) and
# user-space loops for a Linux initramfs (bench/linux).
#   make bench           measures both natively and as guests; BENCH_ARGS="--runs 7" for steadier times
#   make bench-disk      a guest's disk against the same kernel on the machine itself; BENCH_DISK_ARGS="--mbps 150"
#   make bench-adaptive  adaptive paging against each mode alone; BENCH_ADAPTIVE_ARGS="--loads chase,churn --minutes 5"
#   make bench-switch    what a change of paging mode costs each load; BENCH_SWITCH_ARGS="--loads chase --rounds 3"
#   make bench-images    what they run
#   make sim-plot        README's plot of the simulated policies

# Test kernels (also tests/qemu/hostile): flat images behind El Torito.
TK_CFLAGS := -std=gnu11 -O2 -g -ffreestanding -fno-pic -fno-pie -mno-red-zone -mgeneral-regs-only \
	-mcmodel=small -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
	-fno-strict-aliasing -Ibench/nano -Iinclude -Ihv $(WARN)
TK_OBJS := $(addprefix $(B)/tk/,bench/nano/start.S.o bench/nano/rt.c.o hv/lib/str.c.o hv/lib/fmt.c.o)

$(B)/tk/%.S.o: %.S
	@mkdir -p $(@D)
	$(call say,AS,$<)
	$(Q)$(CC) $(TK_CFLAGS) -D__ASSEMBLY__ -MMD -MP -c -o $@ $<
$(B)/tk/%.c.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(TK_CFLAGS) -MMD -MP -c -o $@ $<
-include $(wildcard $(B)/tk/*/*/*.d $(B)/tk/*/*/*/*.d)

# tk_image,NAME.bin,OBJECT: link and flatten. tk_iso: the image as a CD's no-emulation boot entry, which the BIOS
# loads whole (its length in 512-byte sectors is the boot entry's sector count).
define tk_image
$(LD) -nostdlib -static -z max-page-size=4096 --build-id=none --no-warn-rwx-segments -T bench/nano/flat.lds \
	-o $(1:.bin=.elf) $(TK_OBJS) $(2) && $(OBJCOPY) -O binary $(1:.bin=.elf) $(1)
endef
define tk_iso
rm -rf $(1).d && mkdir -p $(1).d && cp $(2) $(1).d/boot.bin && \
xorriso -as mkisofs -quiet -V TESTKERNEL -b boot.bin -c boot.cat -no-emul-boot \
	-boot-load-size $$(( ($$(stat -c %s $(2)) + 511) / 512 )) -o $(1) $(1).d 2>/dev/null && rm -rf $(1).d
endef

$(B)/bench/nano.bin: $(B)/tk/bench/nano/nano.c.o $(TK_OBJS) bench/nano/flat.lds
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(call tk_image,$@,$<)
$(B)/bench/nano.iso: $(B)/bench/nano.bin
	$(call say,ISO,$@)
	$(Q)$(call tk_iso,$@,$<)

# Linux workloads: a static program as the initramfs's /init, on a CD with the demo's kernel. Zeros behind the
# archive (kernels skip them) make what the boot loader reads BENCH_LOAD_BYTES, so that boots compare.
BENCH_LOAD_BYTES := 17000000
$(B)/bench/linux/bench: bench/linux/bench.c
	@mkdir -p $(@D)
	$(call say,MUSLCC,$@)
	$(Q)musl-gcc -std=gnu11 -O2 -static -s $(WARN) -o $@ $<
$(B)/bench/linux/initrd.gz: $(B)/bench/linux/bench $(G)/kernel/cloud-amd64/version
	$(call say,INITRD,$@)
	$(Q)rm -rf $(@D)/tree && mkdir -p $(@D)/tree && cp $< $(@D)/tree/init && touch -hd @0 $(@D)/tree/init
	$(Q)cd $(@D)/tree && echo init | cpio -o -H newc -R 0:0 --reproducible --quiet | gzip -9n >../initrd.gz
	$(Q)truncate -s '>'$$(( $(BENCH_LOAD_BYTES) - $$(stat -c %s '$(G)/kernel/cloud-amd64/vmlinuz') )) $@
$(B)/bench/linux.iso: $(B)/bench/linux/initrd.gz $(G)/kernel/cloud-amd64/version rootfs/linux-cd.sh
	$(call say,ISO,$@)
	$(Q)rootfs/linux-cd.sh '$@' '$(G)/kernel/cloud-amd64/vmlinuz' '$<' /dev/null 'console=ttyS0,115200 quiet'

# The loops that change page tables, each waiting for a key at its begin and end (tests/qemu/test_exits.py); no padding.
STEPS_CMDLINE := console=ttyS0,115200 quiet pti=off STEPS=1 -- syscall forkwait pgfault ctxsw mprotect
$(G)/bench-steps.iso: $(B)/bench/linux/bench $(G)/kernel/cloud-amd64/version rootfs/linux-cd.sh rootfs/pack-initramfs.sh
	$(call say,ISO,$@)
	$(Q)rm -rf '$@.d' && mkdir -p '$@.d' && cp $< '$@.d/init' && rootfs/pack-initramfs.sh '$@.d' '$@.gz'
	$(Q)rootfs/linux-cd.sh '$@' '$(G)/kernel/cloud-amd64/vmlinuz' '$@.gz' /dev/null '$(STEPS_CMDLINE)'
	$(Q)rm -rf '$@.d' '$@.gz'

# Loads of the paging benchmark (bench/adaptive.py): the same for a guest and for the machine itself. No huge pages: they are
# about 4 KiB pages; no randomised addresses: two boots shall be alike; no test of the timer, which fails where guests take turns.
LOADS_SRCS := $(wildcard bench/loads/*.c)
LOADS_CMDLINE := console=ttyS0,115200 quiet transparent_hugepage=never nokaslr norandmaps no_timer_check
$(B)/bench/loads/loads: $(LOADS_SRCS) bench/loads/loads.h
	@mkdir -p $(@D)
	$(call say,MUSLCC,$@)
	$(Q)musl-gcc -std=gnu11 -O2 -static -s $(WARN) -o $@ $(LOADS_SRCS)
$(B)/bench/loads/config.h: bench/loads/tcc-config.h
	@mkdir -p $(@D)
	$(Q)cp $< $@
$(B)/bench/loads/tcc: $(B)/bench/loads/config.h | $(SOURCES_STAMP)
	$(call say,MUSLCC,$@)
	$(Q)musl-gcc -std=gnu11 -O1 -w -static -s -DONE_SOURCE=1 -DTCC_TARGET_X86_64=1 -I$(@D) -o $@ $(SRC)/tcc/tcc.c
$(B)/bench/loads/initrd.gz: $(B)/bench/loads/loads $(B)/bench/loads/tcc bench/loads/image.sh rootfs/pack-initramfs.sh
	$(call say,INITRD,$@)
	$(Q)bench/loads/image.sh '$@' '$(@D)/loads' '$(@D)/tcc' '$(SRC)/tcc' '$(@D)/config.h' \
		/usr/include/$(shell uname -m)-linux-musl
$(B)/bench/loads.iso: $(B)/bench/loads/initrd.gz $(G)/kernel/cloud-amd64/version rootfs/linux-cd.sh bench/bench.mk
	$(call say,ISO,$@)
	$(Q)rootfs/linux-cd.sh '$@' '$(G)/kernel/cloud-amd64/vmlinuz' '$<' /dev/null '$(LOADS_CMDLINE)'

# Guests that work their disk and network (bench/disk.py, tests/qemu/ioguest.py): the control partition's kernel, busybox
# and drivers under an init of a few lines.
$(B)/bench/io/io: bench/io/io.c $(R)/include/linux
	@mkdir -p $(@D)
	$(call say,MUSLCC,$@)
	$(Q)musl-gcc $(MUSL_CFLAGS) -o $@ $<
$(B)/bench/io.cpio.gz: $(B)/bench/io/io bench/io/init bench/io/image.sh rootfs/pack-initramfs.sh $(R)/busybox-control $(R)/kernel/version
	$(call say,INITRD,$@)
	$(Q)bench/io/image.sh '$@' '$(R)/kernel.package' '$(R)/busybox-control' '$<'

-include $(addprefix tests/qemu/,hostile/hostile.mk tasks/tasks.mk paging/paging.mk mmapstorm/mmapstorm.mk thrash/thrash.mk spaces/adversary.mk state/state.mk)

# The plot in README.md: the simulator's first table, which repeats exactly.
.PHONY: sim-plot
sim-plot: $(B)/sim/sim
	$(Q)mkdir -p docs/img && $< | /usr/bin/python3 -B bench/simplot.py xen-like docs/img/policies-simulated.svg

.PHONY: bench bench-adaptive bench-switch bench-disk bench-images
bench-images: $(B)/bench/nano.iso $(B)/bench/linux.iso $(B)/bench/loads.iso $(B)/bench/io.cpio.gz
bench: $(B)/bench/nano.iso $(B)/bench/linux.iso $(B)/penumbra.elf $(B)/guestbios.bin
	$(Q)/usr/bin/python3 -B bench/run.py '$(B)' $(BENCH_ARGS)
bench-adaptive: $(B)/bench/loads.iso $(B)/bench/nano.iso $(B)/penumbra.elf $(B)/guestbios.bin
	$(Q)/usr/bin/python3 -B bench/adaptive.py '$(B)' $(BENCH_ADAPTIVE_ARGS)
bench-switch: $(B)/bench/loads.iso $(B)/penumbra.elf $(B)/guestbios.bin
	$(Q)/usr/bin/python3 -B bench/switchcost.py '$(B)' $(BENCH_SWITCH_ARGS)
bench-disk: $(B)/bench/io.cpio.gz $(B)/penumbra.elf $(B)/guestbios.bin $(B)/vmlinuz $(B)/rootfs.cpio.gz
	$(Q)/usr/bin/python3 -B bench/disk.py '$(B)' $(BENCH_DISK_ARGS)
