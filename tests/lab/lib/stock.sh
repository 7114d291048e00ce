# shellcheck shell=bash
# A working engine that reaches a registry serves as it is: with the public images,
# and the scenarios' images built here on a public Debian.

stock_base=debian:bookworm-slim
stock_mark=$lab_state/stock

uses_stock_engine() { [ -e "$stock_mark" ]; }

stock_engine_serves() { # not the lab's own, which a shell may point at
  [ ! -S "$lab_socket" ] && docker version >/dev/null 2>&1 && docker pull -q "$stock_base" >/dev/null 2>&1
}

stock_up() {
  local name
  say "the Docker engine that answers here serves, with public images"
  mkdir -p "$lab_state"
  for name in sshd client nfs-server; do
    say "$name: building"
    docker build -q -t "lab/$name:stock" --build-arg "BASE=$stock_base" "$lab_home/images/$name" >/dev/null
  done
  if [ "$(docker version --format '{{.Server.Arch}}')" = amd64 ]; then # Debian's kernel that is a program is made for it alone
    say "kernel: building"
    docker build -q -t lab/kernel:stock --build-arg BASE=debian:trixie-slim "$lab_home/images/kernel" >/dev/null
  fi
  say "echo: building"
  docker build -q -t lab/echo:stock -f "$lab_home/images/echo/Dockerfile" "$lab_home/go/echo" >/dev/null
  : >"$stock_mark"
  say "up"
}

stock_env() { # the rest is what topologies name by themselves
  cat <<EXPORTS
export GATEWAY_BASE='$stock_base'
export NFS_BASE='$stock_base'
export ECHO_IMAGE='lab/echo:stock'
export SSHD_IMAGE='lab/sshd:stock'
export CLIENT_IMAGE='lab/client:stock'
export LAB_NFS_SERVER_IMAGE='lab/nfs-server:stock'
$(docker image inspect lab/kernel:stock >/dev/null 2>&1 && echo "export LAB_KERNEL_IMAGE='lab/kernel:stock'")
EXPORTS
}

stock_down() {
  rm -f "$stock_mark"
  say "down; the engine is not the lab's and goes on"
}
