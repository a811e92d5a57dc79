#!/bin/sh
# Run the rig's BIOS under QEMU: TEXT lines to $OUT.text, LOG lines to $OUT.log, COM1 to $OUT.com1.
# Usage: OUT=/dir/name LIMIT=10 run-qemu.sh rig.bin [qemu options]
# SPDX-License-Identifier: MIT
set -eu
bios=$1
shift
: "${OUT:=/tmp/rig}" "${LIMIT:=10}"
timeout -k 2 "$LIMIT" qemu-system-x86_64 -machine pc,hpet=off -accel tcg -cpu max -m 512 \
	-display none -vga std -global VGA.romfile= -nic none -monitor none \
	-global fw_cfg.dma_enabled=off -bios "$bios" \
	-chardev "file,id=text,path=$OUT.text" -device isa-debugcon,iobase=0x512,chardev=text \
	-chardev "file,id=log,path=$OUT.log" -device isa-debugcon,iobase=0x513,chardev=log \
	-serial "file:$OUT.com1" "$@" || [ $? = 124 ]
