# shellcheck shell=bash
# One command at a time changes the lab. What a killed command left working keeps the lock until it ends.

take_lock() {
  mkdir -p "$lab_cache/log" "$lab_cache/parts" "$lab_cache/tmp" "$lab_state"
  exec {lock_descriptor}>>"$lab_cache/lock"
  flock -n "$lock_descriptor" || {
    say "another lab command is at work, or what it left when it was killed; waiting for it"
    flock "$lock_descriptor"
  }
}

unlocked() { # in the background only: for what outlives this command
  exec {lock_descriptor}>&-
  exec "$@"
}
