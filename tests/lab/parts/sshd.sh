# shellcheck shell=bash
# An sshd that lets in who holds the key in AUTHORIZED_KEY, or in a file mounted at /authorized_keys.
kind=image needs=(debian) inputs=(images/sshd) pins=()

build() { build_image "$image" "$lab_home/images/sshd" --build-arg "BASE=$(part_image debian)"; }

version() { package_version "$image" openssh-server; }
