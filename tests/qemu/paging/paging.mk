# The guests that check paging (main.c), whose output must not depend on it (storm.c) and whose load is known (estimate.c):
# $(B)/guests/{paging,storm,estimate}32.iso (two levels and PAE), $(B)/guests/{paging,storm,estimate}64.iso (four levels). And
# mixes.c, two address spaces that differ, $(B)/guests/mixes64.iso.
# Small: Bochs's BIOS does not load 32 KiB from a CD; clang's 32-bit image is for others.
PAGING_CFLAGS := -std=gnu11 -g -ffreestanding -fno-pic -fno-pie -mgeneral-regs-only -fno-stack-protector \
	-fcf-protection=none -fno-asynchronous-unwind-tables -fno-strict-aliasing -I. $(WARN)
# At -Oz clang calls a library for shifts of 64 bits.
PAGING_SMALL := $(if $(findstring clang,$(CC)),-Os,-Oz -mpreferred-stack-boundary=2)
PAGING_END := $(if $(findstring clang,$(CC)),0x20000,0xf400)
PAGING_CFLAGS_32 := -m32 -march=i686 -mregparm=3 $(PAGING_SMALL) $(PAGING_CFLAGS)
PAGING_CFLAGS_64 := -m64 -mno-red-zone -mcmodel=small -Os $(PAGING_CFLAGS)
PAGING_LD_32 := -m elf_i386
PAGING_LD_64 := -m elf_x86_64
# Images: NAME and the parts of it beside those that all have; each part may have a 32 or 64 behind its name.
PAGING_PARTS := cpu tables stubs say
PAGING_IMAGES := paging storm estimate
PARTS_paging := main model rights reserved stale reuse delivery devices
PARTS_storm := storm
PARTS_estimate := estimate
PARTS_mixes := mixes
paging_objects = $(addprefix $(B)/tk/paging$(2)/,$(addsuffix .o,start$(2) cpu$(2) on$(2) \
	$(if $(filter paging,$(1)),mode$(2),$(if $(filter-out mixes,$(1)),$(1)$(2))) $(PARTS_$(1)) $(PAGING_PARTS)))
PAGING_ISOS := $(foreach i,$(PAGING_IMAGES),$(B)/guests/$(i)32.iso $(B)/guests/$(i)64.iso) $(B)/guests/mixes64.iso

define paging_rules
$(B)/tk/paging$(1)/%.o: tests/qemu/paging/%.S tests/qemu/enter32.h
	@mkdir -p $$(@D)
	$$(call say,AS,$$@)
	$$(Q)$$(CC) $$(PAGING_CFLAGS_$(1)) -c -o $$@ $$<
$(B)/tk/paging$(1)/%.o: tests/qemu/paging/%.c $(wildcard tests/qemu/paging/*.h)
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)
	$$(Q)$$(CC) $$(PAGING_CFLAGS_$(1)) -c -o $$@ $$<
endef
define paging_image
$(B)/tk/$(1)$(2).bin: $(call paging_objects,$(1),$(2)) tests/qemu/paging/flat.lds
	$$(call say,LD,$$@)
	$$(Q)$$(LD) $$(PAGING_LD_$(2)) -nostdlib -static --build-id=none --no-warn-rwx-segments --defsym image_end=$(PAGING_END) \
		-T tests/qemu/paging/flat.lds -o $$(@:.bin=.elf) $$(filter %.o,$$^) && \
		$$(OBJCOPY) -O binary $$(@:.bin=.elf) $$@
$(B)/guests/$(1)$(2).iso: $(B)/tk/$(1)$(2).bin
	@mkdir -p $$(@D)
	$$(call say,ISO,$$@)
	$$(Q)$$(call tk_iso,$$@,$$<)
endef
$(foreach w,32 64,$(eval $(call paging_rules,$(w))) $(foreach i,$(PAGING_IMAGES),$(eval $(call paging_image,$(i),$(w)))))
$(eval $(call paging_image,mixes,64))
