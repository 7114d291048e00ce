# shellcheck shell=bash
# What a person sees. Messages go to stderr: stdout is for `env`.

say() { printf '%s\n' "lab: $*" >&2; }

die() {
  printf '%s\n' "lab: error: $*" >&2
  exit 2
}

quietly() { # FILE COMMAND...: its output goes to the file, its end is shown where it fails
  local log=$1
  shift
  "$@" >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    die "\`$*\` failed; all of its output is in $log"
  }
}
