# The control partition's own programs, static against musl: penumbrad, pnctl.
#   $(B)/rootfs/penumbrad   $(B)/rootfs/pnctl
PN_CFLAGS := -std=gnu11 -Os -static -s -DPN_HOST -Iinclude $(WARN) -idirafter $(B)/rootfs/include
PENUMBRAD_SRCS := $(wildcard rootfs/penumbrad/*.c) $(addprefix rootfs/lib/,loop.c say.c modprobe.c)
ROOTFS_HDRS := $(wildcard rootfs/lib/*.h rootfs/penumbrad/*.h rootfs/pnctl/*.h include/penumbra/*.h)

$(B)/rootfs/penumbrad: $(PENUMBRAD_SRCS) $(ROOTFS_HDRS) | $(B)/rootfs/include/linux
	$(call say,MUSLCC,$@)
	$(Q)musl-gcc $(PN_CFLAGS) -o $@ $(PENUMBRAD_SRCS)
