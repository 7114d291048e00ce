# shellcheck shell=bash
# The Debian that every other image starts from. apt works in it as on this machine.
kind=image needs=() inputs=(build/debian.sh) pins=()

build() {
  source "$lab_home/build/debian.sh"
  import_debian bookworm ca-certificates
}

version() { echo "Debian $(docker run --rm --network none "$image" cat /etc/debian_version)"; }
