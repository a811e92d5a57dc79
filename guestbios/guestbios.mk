# Penumbra's PC BIOS for guests: build/guestbios.bin, 128 KiB.
# Two programs, linked apart so that neither half can name what only the other can run:
#   rom16  16-bit handlers (and two 32-bit entries), linked at their offset in segment F000h
#   post   32-bit POST at E0000; may use rom16's symbols as offsets
GB := guestbios
GB_B := $(B)/guestbios
HOSTCC ?= gcc
GB_FLAGS := -std=gnu11 -Os -ffreestanding -fno-pic -fno-pie -fno-stack-protector -mgeneral-regs-only \
	-march=i686 -mregparm=3 -fomit-frame-pointer -fno-asynchronous-unwind-tables -fno-strict-aliasing \
	-fcf-protection=none -fno-jump-tables -fno-builtin \
	-Iinclude -I$(GB) -I$(GB)/rom -I$(GB)/post $(WARN)
# gcc alone turns switches into constant arrays and copies constants from memory: ROM cannot have them.
GB_GCC16 := $(shell $(CC) --version | grep -q clang || echo -fno-tree-switch-conversion -fno-tree-loop-distribute-patterns)

GB16_C := text.c disk.c channel.c boot.c kbd.c log.c sys.c misc.c pcibios.c pcirouting.c
GB16_S := entry.S font.S bios32.S
GB16_OBJS := $(GB16_C:%=$(GB_B)/rom/%.o) $(GB16_S:%=$(GB_B)/rom/%.o) $(GB_B)/rom/pcibios32.o
GB32_OBJS := $(patsubst %,$(GB_B)/post/%.o,start.S lib.c log.c channel.c post.c hw.c bda.c pci.c acpi.c aml.c \
	dsdt.c mptable.c smbios.c)

$(GB_B)/mkfont $(GB_B)/mkimage: $(GB_B)/%: $(GB)/%.c
	@mkdir -p $(@D)
	$(call say,HOSTCC,$@)
	$(Q)$(HOSTCC) -std=gnu11 -O1 $(WARN) -o $@ $<
$(GB_B)/font8x8.bin: $(GB_B)/mkfont
	$(Q)$< $(GB_B)/font8x8.bin $(GB_B)/font8x16.bin

$(GB_B)/rom/%.c.o: $(GB)/rom/%.c
	@mkdir -p $(@D)
	$(call say,CC16,$<)
	$(Q)$(CC) -m16 $(GB_FLAGS) $(GB_GCC16) -MMD -MP -c -o $@ $<
$(GB_B)/rom/pcibios32.o: $(GB)/rom/pcibios.c $(GB)/check-position.sh
	@mkdir -p $(@D)
	$(call say,CC32,$<)
	$(Q)$(CC) -m32 $(GB_FLAGS) $(GB_GCC16) -DPCIBIOS_32 -MMD -MP -c -o $@ $<
	$(Q)sh $(GB)/check-position.sh $@
$(GB_B)/rom/%.S.o: $(GB)/rom/%.S $(GB_B)/font8x8.bin
	@mkdir -p $(@D)
	$(call say,AS16,$<)
	$(Q)$(CC) -m32 $(GB_FLAGS) -D__ASSEMBLY__ -I$(GB_B) -Wa,-I$(GB_B) -MMD -MP -c -o $@ $<
$(GB_B)/post/%.c.o: $(GB)/post/%.c
	@mkdir -p $(@D)
	$(call say,CC32,$<)
	$(Q)$(CC) -m32 $(GB_FLAGS) -MMD -MP -c -o $@ $<
$(GB_B)/post/%.S.o: $(GB)/post/%.S
	@mkdir -p $(@D)
	$(call say,AS32,$<)
	$(Q)$(CC) -m32 $(GB_FLAGS) -D__ASSEMBLY__ -MMD -MP -c -o $@ $<

$(GB_B)/%.lds: $(GB)/rom/%.lds $(GB)/layout.h
	$(Q)$(CC) -E -P -x c -I$(GB) -o $@ $<
$(GB_B)/%.lds: $(GB)/post/%.lds $(GB)/layout.h
	$(Q)$(CC) -E -P -x c -I$(GB) -o $@ $<

# Offsets in the EBDA and in F000h are different address spaces that overlap: no --check-sections.
GB_LD := $(LD) -m elf_i386 -nostdlib -static --build-id=none --no-check-sections -z noexecstack
$(GB_B)/rom16.elf: $(GB16_OBJS) $(GB_B)/rom16.lds
	$(call say,LD,$@)
	$(Q)$(GB_LD) -Map=$(GB_B)/rom16.map -T $(GB_B)/rom16.lds -o $@ $(GB16_OBJS)
$(GB_B)/post.elf: $(GB32_OBJS) $(GB_B)/rom16.elf $(GB_B)/post.lds
	$(call say,LD,$@)
	$(Q)$(GB_LD) -Map=$(GB_B)/post.map -T $(GB_B)/post.lds -R $(GB_B)/rom16.elf -o $@ $(GB32_OBJS)
$(GB_B)/rom16.bin: $(GB_B)/rom16.elf
	$(Q)$(OBJCOPY) -O binary -j .text -j .fixed $< $@
$(GB_B)/post.bin: $(GB_B)/post.elf
	$(Q)$(OBJCOPY) -O binary -j .text $< $@
$(B)/guestbios.bin: $(GB_B)/post.bin $(GB_B)/rom16.bin $(GB_B)/mkimage
	$(call say,BIOS,$@)
	$(Q)$(GB_B)/mkimage $(GB_B)/post.bin $(GB_B)/rom16.bin $@
-include $(GB16_OBJS:.o=.d) $(GB32_OBJS:.o=.d)
-include $(GB)/test/rig.mk
