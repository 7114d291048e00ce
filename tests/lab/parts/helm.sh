# shellcheck shell=bash
# Helm, which renders charts; a module of its own, because it wants newer parts of Kubernetes than the nodes have.
kind=files needs=() inputs=(go/helm) pins=()

build() {
  cd "$lab_home/go/helm" || return
  CGO_ENABLED=0 go build -mod=readonly -trimpath -gcflags=all=-dwarf=false -ldflags '-s -w' -o "$out/" helm.sh/helm/v4/cmd/helm
}

version() { awk '$1 == "helm.sh/helm/v4" {print "Helm", $2}' "$lab_home/go/helm/go.mod"; }
