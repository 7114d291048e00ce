# shellcheck shell=bash
# Kubernetes at another patch version and MetalLB of a release before, for scenarios that change versions.
kind=files needs=(programs) inputs=(go/old.mod go/old.sum go/kube build/programs.sh) pins=(old_kubernetes_version)

build() {
  source "$lab_home/build/programs.sh"
  compile old.mod "$old_kubernetes_version" go.universe.tf/metallb/controller go.universe.tf/metallb/speaker
  cp -r "$(part_folder programs)/kind-node" "$out/"
  cp "$(module_folder go.universe.tf/metallb old.mod)/config/manifests/metallb-native.yaml" "$out/"
  chmod -R u+w "$out"
}

version() { echo "Kubernetes $old_kubernetes_version, MetalLB $old_metallb_version"; }
