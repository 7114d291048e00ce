# shellcheck shell=bash
# A C compiler with the NFS client library of Debian stable: the one of the release before cannot write over NFSv4.
kind=image needs=() inputs=(build/debian.sh) pins=()

build() {
  source "$lab_home/build/debian.sh"
  import_debian trixie gcc,libc6-dev,libnfs-dev,libfuse-dev,pkg-config
}

version() { package_version "$image" libnfs-dev; }
