# The guest of hardware tasks (tasks.c): $(B)/guests/tasks.iso.
TASKS_CFLAGS := -m32 -march=i686 -std=gnu11 -O2 -g -ffreestanding -fno-pic -fno-pie -mgeneral-regs-only -fno-stack-protector \
	-fcf-protection=none -fno-asynchronous-unwind-tables -fno-strict-aliasing -I. $(WARN)
TASKS_OBJS := $(B)/tk/tasks/start.o $(B)/tk/tasks/tasks.o

$(B)/tk/tasks/%.o: tests/qemu/tasks/%.S tests/qemu/enter32.h
	@mkdir -p $(@D)
	$(call say,AS,$@)
	$(Q)$(CC) $(TASKS_CFLAGS) -c -o $@ $<
$(B)/tk/tasks/%.o: tests/qemu/tasks/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(TASKS_CFLAGS) -c -o $@ $<
$(B)/tk/tasks.bin: $(TASKS_OBJS) tests/qemu/tasks/tasks.lds
	$(call say,LD,$@)
	$(Q)$(LD) -m elf_i386 -nostdlib -static --build-id=none --no-warn-rwx-segments -T tests/qemu/tasks/tasks.lds \
		-o $(@:.bin=.elf) $(TASKS_OBJS) && $(OBJCOPY) -O binary $(@:.bin=.elf) $@
$(B)/guests/tasks.iso: $(B)/tk/tasks.bin
	@mkdir -p $(@D)
	$(call say,ISO,$@)
	$(Q)$(call tk_iso,$@,$<)
