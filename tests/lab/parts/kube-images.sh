# shellcheck shell=bash
# The images of Kubernetes, etcd, CoreDNS and MetalLB, under the names that kubeadm and MetalLB's manifest ask for.
kind=image needs=(programs debian nfs-client) inputs=(images/kube build/kubernetes.sh) pins=()

build() {
  source "$lab_home/build/kubernetes.sh"
  local programs reference name
  programs=$(part_folder programs)
  while read -r reference; do
    case $reference in
      */etcd:*) image_of_files "$reference" etcd "$programs/bin/etcd" ;;
      */coredns:*) image_of_files "$reference" coredns "$programs/bin/coredns" ;;
      */pause:*) image_of_files "$reference" pause "$(part_folder nfs-client)/pause" ;;
    esac
  done < <(carried_images "$programs" "$kubernetes_version")
  metallb_images "$programs" "$metallb_version"
  control_plane_image "$image" "$programs"
  for name in "${control_plane[@]}"; do docker tag "$image" "registry.k8s.io/$name:v$kubernetes_version"; done
}

version() { echo "Kubernetes $kubernetes_version, MetalLB $metallb_version"; }
