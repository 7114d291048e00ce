# shellcheck shell=bash
# Every Go program of the lab from one module graph, so that what they share is compiled once.
kind=files needs=() inputs=(go/go.mod go/go.sum go/kube go/coredns go/echo build/programs.sh) pins=()

build() {
  source "$lab_home/build/programs.sh"
  local others=(./coredns ./echo go.etcd.io/etcd/server/v3 go.universe.tf/metallb/controller go.universe.tf/metallb/speaker sigs.k8s.io/kind)
  compile go.mod "$kubernetes_version" "${others[@]}"
  mv "$out/bin/server" "$out/bin/etcd"
  cp -r "$(module_folder sigs.k8s.io/kind)/images/base/files" "$out/kind-node"
  grep -o 'docker.io/envoyproxy/envoy:[^"]*' "$(module_folder sigs.k8s.io/kind)/pkg/cluster/internal/loadbalancer/const.go" >"$out/load-balancer-image"
  cp "$(module_folder go.universe.tf/metallb)/config/manifests/metallb-native.yaml" "$out/"
  chmod -R u+w "$out"
}

version() { echo "Kubernetes $kubernetes_version, MetalLB $metallb_version, $("$out/bin/kind" version -q | sed 's/^/kind /')"; }
