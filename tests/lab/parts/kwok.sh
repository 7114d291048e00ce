# shellcheck shell=bash
# KWOK, for side-by-side figures.
kind=files needs=() inputs=(go-peers/kwok) pins=()

build() {
  cd "$lab_home/go-peers/kwok" || return
  CGO_ENABLED=0 go build -mod=readonly -trimpath -gcflags=all=-dwarf=false -ldflags '-s -w' -o "$out/" sigs.k8s.io/kwok/cmd/kwok
}

version() { awk '$1 == "sigs.k8s.io/kwok" {print "KWOK", $2}' "$lab_home/go-peers/kwok/go.mod"; }
