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
  say "engine: starting"
  PATH="$folder/program/usr/sbin:$folder/program/usr/bin:$PATH" unlocked setsid dockerd --config-file "$folder/daemon.json" >>"$folder/log" 2>&1 </dev/null &
  until engine_answers; do
    kill -0 $! 2>/dev/null || { tail -n 20 "$folder/log" >&2; die "the engine ended; its log is $folder/log"; }
    [ $((SECONDS - started)) -lt 60 ] || die "the engine did not answer within 60 s; its log is $folder/log"
    sleep 0.1
  done
  say "engine: answers after $((SECONDS - started)) s"
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
  pid=$(cat "$lab_state/engine/pid" 2>/dev/null) || pid=
  if [ -n "$pid" ] && is_ours "$pid"; then
    kill -TERM "$pid"
    await_end "$pid" 30 || true
  fi
  end_engine_processes
  unmount_below "$lab_state/engine"
}

is_ours() { tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null | grep -qF "$lab_state/"; }

end_engine_processes() { # the engine, its containerd, shims and proxies: each names the lab's state folder
  local pid signal
  for signal in TERM KILL; do
    for pid in $(engine_processes); do kill -"$signal" "$pid" 2>/dev/null || true; done
    for pid in $(engine_processes); do await_end "$pid" 5 || true; done
  done
}

engine_processes() {
  local folder
  for folder in /proc/[0-9]*; do
    tr '\0' ' ' <"$folder/cmdline" 2>/dev/null | grep -qE "^[^ ]*(dockerd|containerd|containerd-shim[^ ]*|docker-proxy|runc) .*$lab_state/engine/" && echo "${folder#/proc/}"
  done
  true
}

await_end() { # PID SECONDS
  local deadline=$((SECONDS + $2))
  while kill -0 "$1" 2>/dev/null; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.1
  done
}
