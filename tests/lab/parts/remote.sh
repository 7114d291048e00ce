# shellcheck shell=bash
# The root folder of "another machine": Debian's own, older engine, and an sshd.
kind=files needs=() inputs=(build/debian.sh) pins=()

build() {
  TMPDIR=$lab_cache/tmp mmdebstrap --quiet --variant=minbase \
    --include=docker.io,openssh-server,iptables,iproute2,procps,kmod,ca-certificates,cgroupfs-mount \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt=force-unsafe-io \
    bookworm "$out/root.tar" "$(debian_mirror)"
  tar -xOf "$out/root.tar" ./var/lib/dpkg/status | awk '$1 == "Package:" {name = $2} $1 == "Version:" && name == "docker.io" {print $2}' >"$out/version"
}

version() { echo "docker.io $(cat "$out/version")"; }
