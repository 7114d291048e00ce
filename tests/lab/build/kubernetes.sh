# shellcheck shell=bash
# How the images that a node carries are made, and how a node is.

control_plane=(kube-apiserver kube-controller-manager kube-scheduler kube-proxy)

control_plane_image() { # TAG PROGRAMS
  local context name
  context=$(mktemp -d "$out.XXXXXX")
  cp -r "$lab_home/images/kube/." "$context/"
  mkdir "$context/bin"
  cp -a "$2/bin/kube" "${control_plane[@]/#/$2/bin/}" "$context/bin/"
  build_image "$1" "$context" --build-arg "BASE=$(part_image debian)"
}

metallb_images() { # PROGRAMS VERSION
  local name
  for name in controller speaker; do image_of_files "quay.io/metallb/$name:v$2" "$name" "$1/bin/$name"; done
}

carried_images() { # PROGRAMS VERSION: the public names of what kubeadm starts
  "$1/bin/kubeadm" config images list --kubernetes-version "v$2" 2>/dev/null
}

node_without_images() { # TAG PROGRAMS VERSION
  local context files
  context=$(mktemp -d "$out.XXXXXX")
  cp -r "$lab_home/node/image/." "$context/"
  files=$context/files
  cp -r "$2/kind-node/." "$files/"
  cp -r "$lab_home/node/image/files/." "$files/"
  mkdir -p "$files/usr/bin" "$files/kind/manifests" "$files/etc/kubernetes/manifests"
  cp -a "$2"/bin/{kube,kubeadm,kubelet,kubectl} "$files/usr/bin/"
  cp "$(part_folder nfs-client)/mount.nfs" "$files/kind/bin/"
  printf 'v%s' "$3" >"$files/kind/version"
  if ! can_raise_limits; then
    mkdir -p "$files/usr/local/sbin"
    cp "$lab_home/engine/runc-wrapper" "$files/usr/local/sbin/runc"
  fi
  python3 "$lab_home/node/fit.py" "$files" "$(carried_images "$2" "$3" | grep /pause:)"
  build_image "$1" "$context" --build-arg "BASE=$(part_image debian)"
}

node_with_images() { # TAG BASE IMAGE...: what kind's own `build` does: containerd takes them in, the container is committed
  local tag=$1 base=$2 builder
  shift 2
  builder=$(docker run -d --privileged --network none --label lab.builder --entrypoint sleep "$base" infinity)
  docker exec -d "$builder" sh -c 'containerd >/dev/null 2>&1'
  until docker exec "$builder" ctr version >/dev/null 2>&1; do sleep 0.2; done
  docker save "$@" | docker exec -i "$builder" ctr -n k8s.io images import --all-platforms --no-unpack -
  docker exec "$builder" sh -c 'kill $(pidof containerd); while pidof containerd >/dev/null; do sleep 0.1; done'
  docker commit -c 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]' "$builder" "$tag"
  docker rm -f "$builder"
}
