# The guests that check paging (main.c): $(B)/guests/paging32.iso (two levels and PAE), paging64.iso (four levels).
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
PAGING_PARTS := main cpu tables model rights reserved stale reuse delivery devices stubs
PAGING_ISOS := $(B)/guests/paging32.iso $(B)/guests/paging64.iso

define paging_rules
$(B)/tk/paging$(1)/%.o: tests/qemu/paging/%.S tests/qemu/enter32.h
	@mkdir -p $$(@D)
	$$(call say,AS,$$@)
	$$(Q)$$(CC) $$(PAGING_CFLAGS_$(1)) -c -o $$@ $$<
$(B)/tk/paging$(1)/%.o: tests/qemu/paging/%.c $(wildcard tests/qemu/paging/*.h)
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)
	$$(Q)$$(CC) $$(PAGING_CFLAGS_$(1)) -c -o $$@ $$<
$(B)/tk/paging$(1).bin: $(addprefix $(B)/tk/paging$(1)/,start$(1).o cpu$(1).o mode$(1).o $(PAGING_PARTS:=.o)) \
		tests/qemu/paging/flat.lds
	$$(call say,LD,$$@)
	$$(Q)$$(LD) $$(PAGING_LD_$(1)) -nostdlib -static --build-id=none --no-warn-rwx-segments --defsym image_end=$(PAGING_END) \
		-T tests/qemu/paging/flat.lds -o $$(@:.bin=.elf) $$(filter %.o,$$^) && \
		$$(OBJCOPY) -O binary $$(@:.bin=.elf) $$@
$(B)/guests/paging$(1).iso: $(B)/tk/paging$(1).bin
	@mkdir -p $$(@D)
	$$(call say,ISO,$$@)
	$$(Q)$$(call tk_iso,$$@,$$<)
endef
$(eval $(call paging_rules,32))
$(eval $(call paging_rules,64))
