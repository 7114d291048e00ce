# shellcheck shell=bash
# Parts: each is made by one file in parts/, which sets
#   kind     files (a folder in the cache) or image (lab/NAME:KEY in the engine)
#   needs    the parts that it is made from
#   inputs   the files of this folder that it is made from
#   pins     the variables that it is made from
#   version  a command that prints what the table says of it
# and build(), which fills the folder $out or makes the image $image.
# A part's key is the hash of all of these, so that what did not change is not made again.

parts=(engine programs helm debian compiler nfs-client kube-images node envoy echo sshd client nfs-server kernel remote old-programs old-node old-metallb)
demo_parts=(engine programs debian compiler nfs-client kube-images node echo sshd)
peers=(tofu kwok)
declare -A part_kind part_key part_needs

read_parts() {
  local name
  for name in "${parts[@]}"; do
    IFS='|' read -r "part_kind[$name]" "part_needs[$name]" "part_key[$name]" < <(describe_part "$name")
  done
}

describe_part() (
  load_part "$1"
  key=$({
    cat "$lab_home/parts/$1.sh" "$lab_home/lib/images.sh"
    for input in "${inputs[@]}"; do
      (cd "$lab_home" && find "$input" -type f -print0 | sort -z | xargs -0 sha256sum)
    done
    for pin in "${pins[@]}"; do printf '%s\n' "$pin=${!pin}"; done
    for need in "${needs[@]}"; do printf '%s\n' "$need=${part_key[$need]}"; done
  } | sha256sum | cut -c1-12)
  printf '%s|%s|%s\n' "$kind" "${needs[*]}" "$key"
)

load_part() {
  kind='' needs=() inputs=() pins=()
  # shellcheck source=/dev/null
  source "$lab_home/parts/$1.sh"
}

part_folder() { echo "$lab_cache/parts/$1-${part_key[$1]}"; }
part_image() { echo "lab/$1:${part_key[$1]}"; }
part_note() { echo "$lab_cache/parts/$1-${part_key[$1]}.made"; } # written last: a part without it is not whole

is_whole() {
  [ -s "$(part_note "$1")" ] || return 1
  case ${part_kind[$1]} in
    files) [ -d "$(part_folder "$1")" ] ;;
    image) grep -qxF "$(part_image "$1")" <<<"$images_there" ;;
  esac
}

look_at_images() { # without an engine none are there
  images_there=$(docker image ls --format '{{.Repository}}:{{.Tag}}' 2>/dev/null) || images_there=
}

build_missing_parts() { # NAME...: side by side, each as soon as what it needs is there
  local name missing=() jobs=()
  for name in "$@"; do is_whole "$name" || missing+=("$name"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  progress=$(mktemp -d "$lab_cache/tmp/progress.XXXXXX")
  : >"$progress/started"
  for name in "$@"; do is_whole "$name" && : >"$progress/$name.done"; done
  trap 'stop_jobs' INT TERM
  set -m # a process group a part, so that an interrupt reaches all that it started
  for name in "${missing[@]}"; do
    build_part "$name" &
    jobs+=($!)
  done
  set +m
  wait "${jobs[@]}" || true
  trap - INT TERM
  [ ! -e "$progress/failed" ] || {
    say "failed: $(tr '\n' ' ' <"$progress/failed")"
    exit 1
  }
}

stop_jobs() {
  local job
  for job in "${jobs[@]}"; do kill -TERM -- "-$job" 2>/dev/null || true; done
  say "interrupted; the next \`up\` goes on from here"
  exit 130
}

build_part() {
  local name=$1 log=$lab_cache/log/$1 started out image made
  await_needs "$name" || return 1
  started=$SECONDS
  say "$name: building"
  out=$(mktemp -d "$lab_cache/tmp/$name.XXXXXX")
  image=$(part_image "$name")
  export out image
  ( # in the background, because errexit does not hold inside a condition
    set -euo pipefail
    load_part "$name"
    build
    version >"$out.version"
  ) >"$log" 2>&1 </dev/null &
  if wait $!; then
    if [ "${part_kind[$name]}" = files ]; then
      rm -rf "$(part_folder "$name")"
      mv "$out" "$(part_folder "$name")"
    fi
    made=$((SECONDS - started))
    printf '%s|%s\n' "$made" "$(head -n 1 "$out.version")" >"$out.made"
    mv "$out.made" "$(part_note "$name")"
    say "$name: built in $made s"
    : >"$progress/$name.done"
  else
    say "$name: failed after $((SECONDS - started)) s; the end of $log:"
    tail -n 20 "$log" >&2
    echo "$name" >>"$progress/failed"
    return 1
  fi
}

await_needs() {
  local need
  for need in ${part_needs[$1]}; do
    until [ -e "$progress/$need.done" ]; do
      [ ! -e "$progress/failed" ] || return 1
      sleep 0.2
    done
  done
}

clear_half_made() { # under the lock nobody works in tmp
  unmount_below "$lab_cache/tmp"
  rm -rf --one-file-system "$lab_cache/tmp"
  mkdir -p "$lab_cache/tmp"
}

unmount_below() {
  local target
  awk -v below="$1/" 'index($5, below) == 1 {print $5}' /proc/self/mountinfo | sort -r |
    while read -r target; do umount -l "$(printf '%b' "$target")"; done
}

prune_parts() { # keys of earlier scripts
  local name entry
  local -A keep
  for name in "${parts[@]}" "${peers[@]}"; do keep["$name-${part_key[$name]:-$(describe_part "$name" | cut -d'|' -f3)}"]=yes; done
  for entry in "$lab_cache"/parts/*; do
    [ -e "$entry" ] || continue
    entry=${entry##*/}
    [ -n "${keep[${entry%.made}]:-}" ] || rm -rf --one-file-system "${lab_cache:?}/parts/$entry"
  done
  look_at_images
  while read -r entry; do
    name=${entry#lab/}
    [ -n "${keep[${name/:/-}]:-}" ] || docker image rm "$entry" >/dev/null 2>&1 || true # a container may still use it
  done < <(grep '^lab/' <<<"$images_there")
}

print_table() { # NAME...
  local name seconds version how
  printf '\n%-13s %-44s %8s  %s\n' part version seconds 'this time' >&2
  for name in "$@"; do
    IFS='|' read -r seconds version <"$(part_note "$name")"
    how=cached
    [ -n "${progress:-}" ] && [ "$(part_note "$name")" -nt "$progress/started" ] && how=built
    printf '%-13s %-44s %8s  %s\n' "$name" "$version" "$seconds" "$how" >&2
  done
  printf '\n' >&2
}
