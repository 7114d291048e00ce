# shellcheck shell=bash
# A user-space NFS server, v3 and v4, for the lab's own checks.
kind=image needs=(debian) inputs=(images/nfs-server) pins=()

build() { build_image "$image" "$lab_home/images/nfs-server" --build-arg "BASE=$(part_image debian)"; }

version() { package_version "$image" nfs-ganesha; }
