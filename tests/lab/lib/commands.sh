# shellcheck shell=bash
# The commands of the lab.

lab_up() { # [demo]: only what `make demo` runs on, without the second Kubernetes and the second engine
  if stock_engine_serves; then
    stock_up
    return
  fi
  require_machine
  take_lock
  clear_half_made
  install_machine_packages
  read_parts
  local wanted=("${parts[@]}")
  [ "${1:-}" != demo ] || wanted=("${demo_parts[@]}")
  use_engine
  look_at_images
  if engine_answers && all_whole "${wanted[@]}" && { [ "${1:-}" = demo ] || second_engine_is_up; }; then
    link_programs
    say "everything is up"
    return
  fi
  local started=$SECONDS
  build_missing_parts engine
  start_engine
  look_at_images
  build_missing_parts "${wanted[@]}"
  prune_parts
  fill_topo_cache
  link_programs
  [ "${1:-}" = demo ] || start_remote
  print_table "${wanted[@]}"
  clear_half_made
  say "up after $((SECONDS - started)) s"
}

all_whole() { # NAME...
  local name
  for name in "$@"; do is_whole "$name" || return 1; done
}

second_engine_is_up() { remote_answers && [ -z "$(images_missing_there)" ]; }

link_programs() { # where `env` points PATH at
  local program
  mkdir -p "$lab_cache/bin"
  ln -sfn "$(part_folder engine)/usr/bin/docker" "$lab_cache/bin/docker"
  for program in kind kubectl; do ln -sfn "$(part_folder programs)/bin/$program" "$lab_cache/bin/$program"; done
  ln -sfn "$(part_folder helm)/helm" "$lab_cache/bin/helm"
}

fill_topo_cache() { # topo looks for what a pinned address gives under its checksum
  local part manifest
  mkdir -p "$lab_cache/topo/sha256"
  for part in programs old-programs; do
    is_whole $part || continue
    manifest=$(part_folder $part)/metallb-native.yaml
    cp "$manifest" "$lab_cache/topo/sha256/$(sha256sum "$manifest" | cut -d' ' -f1)"
  done
}

lab_env() {
  if uses_stock_engine; then
    stock_env
    return
  fi
  read_parts
  cat <<EXPORTS
export DOCKER_HOST='unix://$lab_socket'
export PATH='$lab_cache/bin':"\$PATH"
export TOPO_KIND='$lab_cache/bin/kind'
export TOPO_CACHE_DIR='$lab_cache/topo'
export NODE_IMAGE='$node_image'
export NODE_IMAGE_OLD='$old_node_image'
export GATEWAY_BASE='$(part_image debian)'
export NFS_BASE='$(part_image debian)'
export ECHO_IMAGE='$(part_image echo)'
export SSHD_IMAGE='$(part_image sshd)'
export CLIENT_IMAGE='$(part_image client)'
export LAB_NFS_SERVER_IMAGE='$(part_image nfs-server)'
export LAB_KERNEL_IMAGE='$(part_image kernel)'
export LAB_REMOTE_HOST='$remote_host'
export LAB_REMOTE_DOCKER_HOST='tcp://$remote_host:$remote_port'
export LAB_REMOTE_CERTS='$lab_state/remote/certs'
export LAB_REMOTE_SSH_KEY='$lab_state/remote/ssh/id_ed25519'
export LAB_REMOTE_SSH_CONFIG='$remote_folder/ssh/config'
export LAB_REMOTE_LOG='$remote_folder/log'
unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH
EXPORTS
}

lab_status() {
  if uses_stock_engine; then
    docker version
    return
  fi
  read_parts
  use_engine
  look_at_images
  local name
  for name in "${parts[@]}"; do
    is_whole "$name" && printf '%-13s %s\n' "$name" "$(cut -d'|' -f2 "$(part_note "$name")")" || printf '%-13s not built\n' "$name"
  done
  docker version --format 'engine        {{.Server.Version}}, API {{.Server.APIVersion}}, up' 2>/dev/null || echo 'engine        down'
  remote_answers && echo 'remote        up' || echo 'remote        down'
}

lab_peers() { # what benches compare with; not part of `up`, because they take minutes that tests do not need
  require_machine
  take_lock
  clear_half_made
  parts=("${peers[@]}")
  read_parts
  build_missing_parts "${parts[@]}"
  mkdir -p "$lab_cache/bin"
  local name
  for name in "${parts[@]}"; do ln -sfn "$(part_folder "$name")/$name" "$lab_cache/bin/$name"; done
  print_table "${parts[@]}"
}

lab_down() {
  if uses_stock_engine; then
    stock_down
    return
  fi
  take_lock
  stop_remote
  stop_engine
  restore_machine
  say "down"
}

lab_clean() {
  lab_down
  unmount_below "$lab_cache"
  unmount_below "$lab_state"
  rm -rf --one-file-system "$lab_state" "$lab_cache"
  say "clean"
}
