# shellcheck shell=bash
# What a person debugs a cluster with: curl, dig, nc, NFS tools, Python.
kind=image needs=(debian) inputs=(images/client) pins=()

build() { build_image "$image" "$lab_home/images/client" --build-arg "BASE=$(part_image debian)"; }

version() { package_version "$image" curl; }
