# shellcheck shell=bash
# A machine with a kernel of its own, in a container: what NFS clients and servers of a kernel do is shown with it.
kind=image needs=() inputs=(build/debian.sh images/kernel) pins=()

build() {
  source "$lab_home/build/debian.sh"
  local base=lab/kernel-base
  image=$base import_debian trixie ca-certificates
  build_image "$image" "$lab_home/images/kernel" --build-arg "BASE=$base"
  docker image rm "$base" >/dev/null
}

version() { package_version "$image" user-mode-linux; }
