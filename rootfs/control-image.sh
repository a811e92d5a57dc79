#!/bin/bash
# SPDX-License-Identifier: MIT
# Packs the control partition's initramfs.
#   control-image.sh OUT KERNEL-DIR BUSYBOX INIT SX PROGRAM...
# The same input gives the same bytes.
set -euo pipefail
out=$1 kernel=$2 busybox=$3 init=$4 sx=$5
shift 5
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tree=$(mktemp -d "${TMPDIR:-/tmp}/control.XXXXXX")
trap 'rm -rf "$tree"' EXIT
umask 022
mkdir -p "$tree"/{bin,dev,etc,lib,proc,sys,run,tmp,root,mnt,data,boot-medium}
# Some look for modprobe in /sbin, the kernel among them.
ln -s bin "$tree/sbin"
ln -s ../boot-medium/boot/penumbra.conf "$tree/etc/penumbra.conf"
ln -s ../run/resolv.conf "$tree/etc/resolv.conf"
ln -s ../proc/mounts "$tree/etc/mtab"
cp "$kernel/version" "$tree/etc/kernel-release"
cp "$here/etc/profile" "$here/etc/motd" "$here/etc/dhcp.script" "$tree/etc/"
cp "$here/etc/"{dhcp,help,rx,sx} "$tree/bin/"
printf 'root::0:0:root:/root:/bin/sh\n' >"$tree/etc/passwd"
printf 'root:x:0:\n' >"$tree/etc/group"
printf '127.0.0.1 localhost penumbra\n' >"$tree/etc/hosts"
cp "$busybox" "$tree/bin/busybox"
for applet in $("$busybox" --list); do
	[ -e "$tree/bin/$applet" ] || ln -s busybox "$tree/bin/$applet"
done
cp "$init" "$tree/init"
cp "$@" "$tree/bin/"
cp "$sx" "$tree/lib/sx"
cp -r "$kernel/modules" "$tree/lib/modules"
chmod -R go-w,a+rX "$tree"
chmod 755 "$tree/init" "$tree/etc/dhcp.script" "$tree"/bin/{busybox,dhcp,help,rx,sx}
"$here/pack-initramfs.sh" "$tree" "$out"
