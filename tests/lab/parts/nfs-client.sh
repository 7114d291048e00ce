# shellcheck shell=bash
# The nodes' mount.nfs, in user space because kernels here have no NFS, and the pause program. Both static.
kind=files needs=(compiler) inputs=(nfs node/pause.c) pins=()

build() {
  tar -C "$lab_home" -cf - nfs node/pause.c |
    docker run --rm -i --network none "$(part_image compiler)" sh -euc '
      exec 3>&1 >&2
      mkdir /build && cd /build && tar -xf -
      gcc -O2 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Wall -Wextra -Werror -static -o mount.nfs nfs/*.c $(pkg-config --cflags --libs --static fuse) -lnfs
      gcc -Os -Wall -Wextra -Werror -static -s -o pause node/pause.c
      tar -cf - mount.nfs pause >&3' |
    tar -C "$out" -xf -
}

version() { cut -d'|' -f2 "$(part_note compiler)"; }
