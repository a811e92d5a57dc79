# Linux with a process that has page tables changed behind the backs of others (adversary.c) as its init: $(G)/adversary.iso.
$(B)/tk/adversary: tests/qemu/spaces/adversary.c
	@mkdir -p $(@D)
	$(call say,MUSLCC,$@)
	$(Q)musl-gcc -std=gnu11 -O2 -static -s $(WARN) -o $@ $< -pthread
$(B)/tk/adversary.gz: $(B)/tk/adversary
	$(call say,INITRD,$@)
	$(Q)rm -rf $@.d && mkdir -p $@.d && cp $< $@.d/init && touch -hd @0 $@.d/init
	$(Q)cd $@.d && echo init | cpio -o -H newc -R 0:0 --reproducible --quiet | gzip -9n >../$(@F)
$(G)/adversary.iso: $(B)/tk/adversary.gz $(G)/kernel/cloud-amd64/version rootfs/linux-cd.sh
	$(call say,ISO,$@)
	$(Q)rootfs/linux-cd.sh '$@' '$(G)/kernel/cloud-amd64/vmlinuz' '$<' /dev/null 'console=ttyS0,115200 quiet'
