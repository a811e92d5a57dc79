# Linux with a process that works its page tables (mmapstorm.c) as its init: $(B)/guests/mmapstorm.iso. The kernel is told what
# it would else find out by some 17 000 reads of the PIT: with a full audit at each exit those would be most of the test.
$(B)/tk/mmapstorm: tests/qemu/mmapstorm/mmapstorm.c
	@mkdir -p $(@D)
	$(call say,MUSLCC,$@)
	$(Q)musl-gcc -std=gnu11 -O2 -static -s $(WARN) -o $@ $<
$(B)/tk/mmapstorm.gz: $(B)/tk/mmapstorm
	$(call say,INITRD,$@)
	$(Q)rm -rf $@.d && mkdir -p $@.d && cp $< $@.d/init && touch -hd @0 $@.d/init
	$(Q)cd $@.d && echo init | cpio -o -H newc -R 0:0 --reproducible --quiet | gzip -9n >../$(@F)
$(B)/guests/mmapstorm.iso: $(B)/tk/mmapstorm.gz $(G)/kernel/cloud-amd64/version rootfs/linux-cd.sh
	$(call say,ISO,$@)
	$(Q)rootfs/linux-cd.sh '$@' '$(G)/kernel/cloud-amd64/vmlinuz' '$<' /dev/null \
		'console=ttyS0,115200 quiet tsc_early_khz=1000000 lpj=1000000'
