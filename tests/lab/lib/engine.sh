# shellcheck shell=bash
# The lab's own engine: its data root, exec root, socket and pid file are all below $lab_state/engine.

use_engine() { # for this script and the programs that it starts
  engine_folder=$(part_folder engine)
  export PATH="$lab_cache/bin:$engine_folder/usr/bin:$PATH"
  export DOCKER_HOST=unix://$lab_socket
  unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH
}

engine_answers() { docker version >/dev/null 2>&1; }

start_engine() {
  engine_answers && return
  local folder=$lab_state/engine started=$SECONDS
  end_engine_processes # what a killed engine left
  mkdir -p "$folder"
  remember_machine
  raise_inotify
  rm -rf "$folder/program"
  cp -al "$engine_folder" "$folder/program" # the engine outlives this checkout, and the part that it was started from
  cp "$lab_home/engine/runc-wrapper" "$folder/"
  engine_settings >"$folder/daemon.json"
  hold_volumes_in_memory
  say "engine: starting"
  PATH="$folder/program/usr/sbin:$folder/program/usr/bin:$PATH" unlocked setsid dockerd --config-file "$folder/daemon.json" >>"$folder/log" 2>&1 </dev/null &
  until engine_answers; do
    kill -0 $! 2>/dev/null || { tail -n 20 "$folder/log" >&2; die "the engine ended; its log is $folder/log"; }
    [ $((SECONDS - started)) -lt 120 ] || die "the engine did not answer within 120 s; its log is $folder/log"
    sleep 0.1
  done
  say "engine: answers after $((SECONDS - started)) s"
  clear_what_lost_its_volumes
}

# A node writes half a gigabyte into its volume when it is made, and reads of it all the time: where there is memory enough,
# no disk is waited for. It lasts until the engine is stopped or the machine is.
hold_volumes_in_memory() {
  local data=$lab_state/engine/data
  local volumes=$data/volumes
  volumes_are_new=
  if [ "$(memory_in_gb)" -lt 20 ] || mountpoint -q "$volumes"; then return; fi
  rm -rf "$volumes"
  mkdir -p "$volumes"
  mountpoint -q "$data" || mount --bind "$data" "$data" # or the engine does, and hides what is mounted below it
  mount -t tmpfs -o mode=0701,size=50% lab-volumes "$volumes"
  volumes_are_new=yes
}

clear_what_lost_its_volumes() {
  [ -n "$volumes_are_new" ] || return 0
  docker ps -aq | xargs -r docker rm -f >/dev/null
  docker network prune -f >/dev/null
}

engine_settings() {
  local folder=$lab_state/engine runtime='{}'
  can_raise_limits || runtime=$(jq -n --arg path "$folder/runc-wrapper" '{"default-runtime": "lab", runtimes: {lab: {path: $path}}}')
  jq -n --arg folder "$folder" --arg socket "unix://$lab_socket" --argjson runtime "$runtime" '{
    "data-root": ($folder + "/data"), "exec-root": ($folder + "/exec"), pidfile: ($folder + "/pid"), hosts: [$socket],
    "storage-driver": "overlay2", "shutdown-timeout": 5
  } + $runtime'
}

stop_engine() {
  local pid
  for pid in $(pgrep -f "^dockerd .*$lab_state/engine/" || true); do # it stops its containers first
    kill -TERM "$pid"
    await_end "$pid" 30 || true
  done
  end_engine_processes
  unmount_below "$lab_state/engine"
}

end_engine_processes() {
  pgrep -f "^[^ ]*(dockerd|containerd|containerd-shim[^ ]*|runc) .*$lab_state/engine/" || true
}

await_end() { # PID SECONDS
  local deadline=$((SECONDS + $2))
  while kill -0 "$1" 2>/dev/null; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.1
  done
}
