# pnctl, static against musl: $(B)/rootfs/pnctl
PNCTL_SRCS := $(wildcard rootfs/pnctl/*.c) rootfs/lib/say.c hv/core/nearest.c

$(B)/rootfs/pnctl: $(PNCTL_SRCS) $(wildcard rootfs/lib/*.h rootfs/pnctl/*.h include/penumbra/*.h) \
		| $(B)/rootfs/include/linux
	$(call say,MUSLCC,$@)
	$(Q)musl-gcc $(PN_CFLAGS) -Ihv -o $@ $(PNCTL_SRCS)
