# penumbrad, static against musl: $(B)/rootfs/penumbrad
PN_CFLAGS = -std=gnu11 -O2 -static -s -DPN_HOST -Iinclude $(WARN) -idirafter $(B)/rootfs/include
PENUMBRAD_SRCS := $(wildcard rootfs/penumbrad/*.c) $(addprefix rootfs/lib/,loop.c say.c modprobe.c)
PENUMBRAD_HDRS := $(wildcard rootfs/lib/*.h rootfs/penumbrad/*.h include/penumbra/*.h)

$(B)/rootfs/penumbrad: $(PENUMBRAD_SRCS) $(PENUMBRAD_HDRS) | $(B)/rootfs/include/linux
	$(call say,MUSLCC,$@)
	$(Q)musl-gcc $(PN_CFLAGS) -o $@ $(PENUMBRAD_SRCS)
