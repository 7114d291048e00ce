# shellcheck shell=bash
# The images of the other MetalLB.
kind=image needs=(old-programs) inputs=(build/kubernetes.sh) pins=()

build() {
  source "$lab_home/build/kubernetes.sh"
  metallb_images "$(part_folder old-programs)" "$old_metallb_version"
  docker tag "quay.io/metallb/controller:v$old_metallb_version" "$image"
}

version() { echo "MetalLB $old_metallb_version"; }
