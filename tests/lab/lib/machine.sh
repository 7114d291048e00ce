# shellcheck shell=bash
# What this machine is, what it lacks, and where it gets its packages from.

machine_packages=(mmdebstrap iptables iproute2 runc socat conntrack kmod jq util-linux procps openssh-client openssl)

require_machine() {
  [ "$(uname -s)" = Linux ] || die "the lab builds its own engine on Linux only; start a Docker engine and run this again"
  [ "$(id -u)" = 0 ] || die "the lab's own engine needs root (namespaces, mounts, iptables); start a Docker engine, or run this as root"
  local program
  for program in apt-get dpkg go python3; do
    command -v "$program" >/dev/null || die "the lab builds its parts with \`$program\`, which is not on PATH"
  done
  grep -q overlay /proc/filesystems || die "this kernel has no overlay file system, which the engine keeps images in"
  [ -e /dev/fuse ] || die "this machine has no /dev/fuse, which the nodes' NFS client needs"
  mountpoint -q /sys/fs/cgroup || die "no cgroup hierarchy is mounted at /sys/fs/cgroup"
  has_capability 21 || die "CAP_SYS_ADMIN is missing: a container engine cannot run here"
  case $(stat -f -c %T "$(nearest_folder "$lab_state")") in
    overlayfs | nfs | fuseblk) die "$lab_state is on a file system that cannot hold an engine's data; set TOPO_LAB_CACHE to a folder on ext4, xfs or btrfs" ;;
  esac
}

nearest_folder() {
  local folder=$1
  until [ -d "$folder" ]; do folder=$(dirname "$folder"); done
  echo "$folder"
}

has_capability() { # NUMBER, as in capability.h
  local bounding
  bounding=$(awk '/^CapBnd/ {print $2}' /proc/self/status)
  (((16#$bounding >> $1) & 1))
}

can_raise_limits() { has_capability 24; } # CAP_SYS_RESOURCE

memory_in_gb() { awk '$1 == "MemTotal:" {print int($2 / 1000000)}' /proc/meminfo; }

install_machine_packages() {
  local missing=() package
  for package in "${machine_packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$lab_cache/log/machine" 2>&1 </dev/null ||
    die "apt-get could not install ${missing[*]}; see $lab_cache/log/machine"
}

debian_mirror() { # where this machine's own apt gets Debian from
  local sources=/etc/apt/sources.list.d/debian.sources
  if [ -s "$sources" ]; then
    awk '/^URIs:/ {print $2; exit}' "$sources"
  else
    awk '$1 == "deb" {for (i = 2; i <= NF; i++) if ($i ~ /^[a-z+]+:\//) {print $i; exit}}' /etc/apt/sources.list
  fi
}

apt_settings() { # proxies and clock checks that this machine's apt was told of, for the Debians built from it
  apt-config dump --no-empty --format '%F "%v";%n' Acquire |
    grep -E '^Acquire::(https?::|Check-)' || true
}
