# shellcheck shell=bash
# The node image of the other Kubernetes version.
kind=image needs=(old-programs debian nfs-client kube-images) inputs=(node engine/runc-wrapper build/kubernetes.sh images/kube) pins=(old_node_image)

build() {
  source "$lab_home/build/kubernetes.sh"
  local programs carried name
  programs=$(part_folder old-programs)
  control_plane_image lab/old-kube "$programs"
  for name in "${control_plane[@]}"; do docker tag lab/old-kube "registry.k8s.io/$name:v$old_kubernetes_version"; done
  mapfile -t carried < <(carried_images "$programs" "$old_kubernetes_version")
  node_without_images lab/old-node-base "$programs" "$old_kubernetes_version"
  node_with_images "$image" lab/old-node-base "${carried[@]}"
  docker tag "$image" "$old_node_image"
}

version() { echo "$old_node_image"; }
