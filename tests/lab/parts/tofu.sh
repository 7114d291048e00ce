# shellcheck shell=bash
# OpenTofu, for side-by-side figures.
kind=files needs=() inputs=(go-peers/tofu) pins=()

build() {
  cd "$lab_home/go-peers/tofu" || return
  CGO_ENABLED=0 go build -mod=readonly -trimpath -gcflags=all=-dwarf=false -ldflags '-s -w' -o "$out/" github.com/opentofu/opentofu/cmd/tofu
}

version() { awk '$1 == "github.com/opentofu/opentofu" {print "OpenTofu", $2}' "$lab_home/go-peers/tofu/go.mod"; }
