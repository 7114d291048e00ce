# shellcheck shell=bash
# The Debian that every other image starts from. apt works in it as on this machine.
kind=image needs=() inputs=(build/debian.sh) pins=()

build() {
  source "$lab_home/build/debian.sh"
  # usr-is-merged stands in for usrmerge, which would bring all of Perl into every image.
  import_debian bookworm ca-certificates,usr-is-merged --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr
}

version() { echo "Debian $(docker run --rm --network none "$image" cat /etc/debian_version)"; }
