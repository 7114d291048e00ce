# shellcheck shell=bash
# Where the lab keeps things, and the versions that it is pinned to.

lab_cache=${TOPO_LAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/topo-lab}   # what was built; can be made again
lab_state=$lab_cache-state                                             # what runs: data roots, sockets, pid files
lab_socket=$lab_state/engine/docker.sock

kubernetes_version=$(awk '$1 == "k8s.io/kubernetes" {print substr($2, 2)}' "$lab_home/go/go.mod")
metallb_version=$(awk '$1 == "go.universe.tf/metallb" {print substr($2, 2)}' "$lab_home/go/go.mod")
old_kubernetes_version=$(awk '$1 == "k8s.io/kubernetes" {print substr($2, 2)}' "$lab_home/go/old.mod")
old_metallb_version=$(awk '$1 == "go.universe.tf/metallb" {print substr($2, 2)}' "$lab_home/go/old.mod")
envoy_version=1.40.0

node_image=kindest/node:v$kubernetes_version
old_node_image=kindest/node:v$old_kubernetes_version

remote_host=10.211.77.2          # the other machine, as this one reaches it
remote_gateway=10.211.77.1       # this machine, as the other one reaches it
remote_port=2376
