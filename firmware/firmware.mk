# Linking the hypervisor, twice: the names of the first link's functions become the symbol table of
# the second, for back-traces. The table lies behind all code, so no function moves between the two;
# that is checked, and so is the flat layout that Multiboot1 loaders rely on.
NM := nm
READELF := readelf
HV_HOT_LDS := firmware/hot.lds $(wildcard hv/engine/*/hot.lds)
HV_LINK = $(LD) -nostdlib -static -z max-page-size=4096 --build-id=none --gc-sections -T $(HV_LDS)
hv_text_symbols = $(NM) -n $(1) | grep ' [tT] '

$(B)/ksyms/none.S: firmware/ksyms.awk
	@mkdir -p $(@D)
	$(Q)awk -f $< </dev/null >$@
$(B)/ksyms/ksyms.S: $(B)/ksyms/first.elf firmware/ksyms.awk
	$(call say,KSYMS,$@)
	$(Q)$(NM) -n $< | awk -f firmware/ksyms.awk >$@
$(B)/ksyms/%.o: $(B)/ksyms/%.S
	$(Q)$(CC) $(HV_CFLAGS) -c -o $@ $<

$(B)/ksyms/first.elf: $(HV_OBJS) $(VENDOR_OBJS) $(B)/ksyms/none.o $(HV_LDS) $(HV_HOT_LDS)
	$(call say,LD,$@)
	$(Q)$(HV_LINK) -o $@ $(HV_OBJS) $(VENDOR_OBJS) $(B)/ksyms/none.o

$(B)/penumbra.elf: $(B)/ksyms/first.elf $(B)/ksyms/ksyms.o firmware/check-image.awk
	$(call say,LD,$@)
	$(Q)$(HV_LINK) -Map=$(B)/penumbra.map -o $@ $(HV_OBJS) $(VENDOR_OBJS) $(B)/ksyms/ksyms.o
	$(Q)$(call hv_text_symbols,$<) >$(B)/ksyms/first.txt
	$(Q)$(call hv_text_symbols,$@) | cmp -s - $(B)/ksyms/first.txt || \
		{ echo "$@: functions moved between the links" >&2; exit 1; }
	$(Q)$(READELF) -lW $@ | awk -f firmware/check-image.awk >&2
