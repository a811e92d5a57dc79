# The same BIOS for QEMU's pc machine, which lacks the channel: two files replaced (see their heads).
#   make B=dir dir/guestbios/rig.bin ; guestbios/test/run-qemu.sh dir/guestbios/rig.bin [qemu options]
RIG_B := $(GB_B)/rig
RIG16 := $(filter-out $(GB_B)/rom/channel.c.o,$(GB16_OBJS)) $(RIG_B)/rig_disk.o
RIG32 := $(filter-out $(GB_B)/post/channel.c.o,$(GB32_OBJS)) $(RIG_B)/rig_config.o

$(RIG_B)/rig_disk.o: $(GB)/test/rig_disk.c
	@mkdir -p $(@D)
	$(Q)$(CC) -m16 $(GB_FLAGS) $(GB_GCC16) -MMD -MP -c -o $@ $<
$(RIG_B)/rig_config.o: $(GB)/test/rig_config.c
	@mkdir -p $(@D)
	$(Q)$(CC) -m32 $(GB_FLAGS) -MMD -MP -c -o $@ $<
$(RIG_B)/rom16.elf: $(RIG16) $(GB_B)/rom16.lds
	$(Q)$(GB_LD) -T $(GB_B)/rom16.lds -o $@ $(RIG16)
$(RIG_B)/post.elf: $(RIG32) $(RIG_B)/rom16.elf $(GB_B)/post.lds
	$(Q)$(GB_LD) -T $(GB_B)/post.lds -R $(RIG_B)/rom16.elf -o $@ $(RIG32)
$(GB_B)/rig.bin: $(RIG_B)/post.elf $(RIG_B)/rom16.elf $(GB_B)/mkimage
	$(Q)$(OBJCOPY) -O binary -j .text -j .fixed $(RIG_B)/rom16.elf $(RIG_B)/rom16.bin
	$(Q)$(OBJCOPY) -O binary -j .text $(RIG_B)/post.elf $(RIG_B)/post.bin
	$(Q)$(GB_B)/mkimage $(RIG_B)/post.bin $(RIG_B)/rom16.bin $@
-include $(RIG_B)/rig_disk.d $(RIG_B)/rig_config.d
