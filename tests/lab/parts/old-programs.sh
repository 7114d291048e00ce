# shellcheck shell=bash
# Kubernetes at another patch version, for scenarios that replace a node image.
kind=files needs=(programs) inputs=(go/old.mod go/old.sum go/kube build/programs.sh) pins=(old_kubernetes_version)

build() {
  source "$lab_home/build/programs.sh"
  compile old.mod "$old_kubernetes_version"
  cp -r "$(part_folder programs)/kind-node" "$out/"
}

version() { echo "Kubernetes $old_kubernetes_version"; }
