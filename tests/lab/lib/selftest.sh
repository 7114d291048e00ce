# shellcheck shell=bash
# The lab proves itself: one line a check, with its seconds. The checks share three clusters.
# A proof holds for the same parts and scripts until the machine starts anew.

selftest_checks=(
  "engine|the engine answers, builds with apt and runs"
  "nodes|a three-node cluster is Ready"
  "image-load|an image made here is on every node"
  "dns|CoreDNS resolves a Service name inside a pod"
  "pod-to-pod|a pod on one node reaches a pod on another"
  "node-port|a NodePort answers the host"
  "host-port|a hostPort answers the host"
  "outbound|a pod reaches what is outside the cluster"
  "metallb|MetalLB gives an address, which answers by ARP from the host and from another container"
  "nfs-v4|an NFSv4 claim: written by a pod, read on the host, and the other way round"
  "nfs-v3|the same over NFSv3"
  "nfs-owners|owners are numbers, modes and chown are right, over v4 and v3"
  "nfs-locks|a fcntl lock of one pod keeps out a pod of another node"
  "nfs-hard|a server that goes away is waited for, and open files go on, over v4 and v3"
  "nfs-errors|mount.nfs says what is wrong: refused, no such export, no such host"
  "restart|all nodes stopped and started: the Service answers again"
  "control-planes|three control planes are Ready behind their load balancer"
  "remote|the second engine builds, runs a cluster, and is reached over its address only"
  "delete|deleting leaves no container, network or volume behind"
)

lab_selftest() { # [NAME | --unless-proved]
  local wanted=${1:-} entry name title passed=0 failed=0 started status proof
  read_parts
  proof=$lab_state/proved/$(what_is_proved)
  if [ "$wanted" = --unless-proved ]; then
    if [ -s "$proof" ]; then
      printf 'proved %s; %s proves it again\n' "$(date -r "$proof" '+on %F at %T')" "tests/lab/lab selftest"
      cat "$proof"
      return
    fi
    wanted=
  fi
  use_engine
  look_at_images
  if ! engine_answers || ! remote_answers; then die "the lab is not up; run \`tests/lab/lab up\` first"; fi
  selftest_folder=$lab_state/selftest
  mkdir -p "$selftest_folder"
  # shellcheck source=/dev/null
  for entry in "$lab_home"/selftest/*.sh; do source "$entry"; done
  trap clear_selftest EXIT
  clear_selftest
  : >"$selftest_folder/report"
  for entry in "${selftest_checks[@]}"; do
    name=${entry%%|*} title=${entry#*|}
    [ -z "$wanted" ] || [ "$wanted" = "$name" ] || continue
    started=$EPOCHREALTIME
    (
      set -eEuo pipefail
      trap 'echo "line $LINENO: $BASH_COMMAND" >&2' ERR
      "check_${name//-/_}"
    ) >"$selftest_folder/$name.log" 2>&1 </dev/null &
    status=ok
    wait $! || status=FAILED
    printf '%-6s %6.1fs  %s: %s\n' "$status" "$(seconds_since "$started")" "$name" "$title" | tee -a "$selftest_folder/report"
    if [ $status = ok ]; then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
      tail -n 15 "$selftest_folder/$name.log" | sed 's/^/         /'
      lab_logs "${LAB_LOGS:-$lab_state/logs}/$name"
    fi
  done
  [ $((passed + failed)) -gt 0 ] || die "there is no check \`$wanted\`; there are: $(printf '%s\n' "${selftest_checks[@]%%|*}" | paste -sd ' ')"
  printf 'selftest: %d passed, %d failed\n' "$passed" "$failed" | tee -a "$selftest_folder/report"
  [ $failed = 0 ] || return
  if [ -z "$wanted" ]; then keep_proof "$proof"; fi
}

what_is_proved() {
  {
    printf '%s\n' "${part_key[@]}" | sort
    (cd "$lab_home" && find lab lib selftest engine remote -type f -print0 | sort -z | xargs -0 sha256sum)
    cat /proc/sys/kernel/random/boot_id
  } | sha256sum | cut -c1-12
}

keep_proof() { # FILE: it alone
  rm -rf "$lab_state/proved"
  mkdir -p "$lab_state/proved"
  mv "$selftest_folder/report" "$1"
}

seconds_since() { awk -v since="$1" -v now="$EPOCHREALTIME" 'BEGIN {print now - since}'; }

lab_logs() { # FOLDER: what a person needs who was not there
  local folder=$1 cluster
  mkdir -p "$folder"
  [ -n "${engine_folder:-}" ] || { read_parts && use_engine; }
  cp "$lab_state/engine/log" "$folder/engine.log" 2>/dev/null || true
  cp "$remote_folder/log" "$folder/remote.log" 2>/dev/null || true
  [ -z "${selftest_folder:-}" ] || cp "$selftest_folder"/*.log "$folder/" 2>/dev/null || true
  docker ps -a >"$folder/containers" 2>&1 || true
  for cluster in $(kind get clusters 2>/dev/null); do
    kind export logs --name "$cluster" "$folder/$cluster" >/dev/null 2>&1 || true
  done
  say "logs are in $folder"
}

# What the checks share.

eventually() { # SECONDS COMMAND...: again and again until it succeeds
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $deadline ] || {
      echo "not within its time: $*" >&2
      return 1
    }
    sleep 0.5
  done
}

expect() { # PATTERN COMMAND...: the output has it
  local pattern=$1 output
  shift
  output=$("$@" 2>&1) || true
  grep -qE -- "$pattern" <<<"$output" || {
    printf 'expected %s from: %s\ngot: %s\n' "$pattern" "$*" "$output" >&2
    return 1
  }
}

clear_selftest() {
  local cluster name
  for cluster in lab-three lab-ha; do kind delete cluster --name "$cluster" >/dev/null 2>&1 || true; done
  remote_kind delete cluster --name lab-remote >/dev/null 2>&1 || true
  for name in lab-nfs lab-beside; do docker rm -fv "$name" >/dev/null 2>&1 || true; done
  docker network rm lab-net >/dev/null 2>&1 || true
}
