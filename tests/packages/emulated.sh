#!/usr/bin/env bash
# Runs a program of another machine by QEMU, and what that program starts of its own kind: emulated.sh arm64|armhf PROGRAM
# [ARGUMENT...]. The kernel is told so in a user namespace of its own, which Linux 6.7 can (binfmt_misc); this machine's own
# settings stay as they are.
set -euo pipefail
architecture="$1"
shift
# Which files: ELF, 64 or 32 bits, little endian, a program or one that may be loaded anywhere, for this processor.
case "$architecture" in
  arm64) triple=aarch64-linux-gnu emulator=qemu-aarch64 bits='\x02' processor='\xb7' ;;
  armhf) triple=arm-linux-gnueabihf emulator=qemu-arm bits='\x01' processor='\x28' ;;
  *) echo "emulated.sh arm64|armhf PROGRAM" >&2; exit 2 ;;
esac
nought='\x00\x00\x00\x00\x00\x00\x00\x00'
whole='\xff\xff\xff\xff\xff\xff\xff\xff'
magic="\\x7fELF$bits\\x01\\x01\\x00$nought\\x02\\x00$processor\\x00"
mask="\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00$whole\\xfe\\xff\\xff\\xff"
export QEMU_LD_PREFIX="/usr/$triple"
# F: the emulator is opened now, so that it is found from any folder and root.
rule=":heartbeatd:M::$magic:$mask:$(command -v "$emulator"):F"
# shellcheck disable=SC2016 # $rule and $@ are that shell's
rule="$rule" exec unshare --user --map-root-user --mount bash -c '
  mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
  printf %s "$rule" >/proc/sys/fs/binfmt_misc/register
  unset rule
  exec "$@"' bash "$@"
