# shellcheck shell=bash
# The node image: Debian with kind's own node files, fitted to machines of this kind, and all images that kubeadm and MetalLB start.
kind=image needs=(programs debian nfs-client kube-images) inputs=(node engine/runc-wrapper build/kubernetes.sh) pins=(node_image)

build() {
  source "$lab_home/build/kubernetes.sh"
  local programs carried
  programs=$(part_folder programs)
  mapfile -t carried < <(carried_images "$programs" "$kubernetes_version")
  node_without_images "lab/node-base" "$programs" "$kubernetes_version"
  node_with_images "$image" lab/node-base "${carried[@]}" "quay.io/metallb/"{controller,speaker}":v$metallb_version"
  docker tag "$image" "$node_image"
}

version() { echo "$node_image"; }
