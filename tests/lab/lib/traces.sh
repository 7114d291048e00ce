# shellcheck shell=bash
# What the lab changes on this machine while it runs, and how it is undone.

inotify=/proc/sys/fs/inotify

remember_machine() { # before the first start; a killed lab must not take its own traces for the machine's
  local file=$lab_state/machine-before
  [ ! -s "$file" ] || return 0
  {
    printf 'links=%s\n' "$(ip -o link show type bridge | awk -F': ' '{print $2}' | tr '\n' ' ')"
    printf 'forward=%s\n' "$(iptables -S FORWARD | awk '$1 == "-P" {print $3}')"
    printf 'ip_forward=%s\n' "$(cat /proc/sys/net/ipv4/ip_forward)"
    printf 'instances=%s\nwatches=%s\n' "$(cat $inotify/max_user_instances)" "$(cat $inotify/max_user_watches)"
    printf 'chains=%s\n' "$(iptables-save | grep -c '^:DOCKER' || true)"
  } >"$file.new"
  mv "$file.new" "$file"
}

raise_inotify() { # a node's systemd and kubelet take some ten instances each, and end without a word when there are none
  if [ "$(cat $inotify/max_user_instances)" -lt 1024 ]; then echo 1024 >$inotify/max_user_instances; fi
  if [ "$(cat $inotify/max_user_watches)" -lt 524288 ]; then echo 524288 >$inotify/max_user_watches; fi
}

restore_machine() {
  local file=$lab_state/machine-before link table command
  [ -s "$file" ] || return 0
  for link in $(engine_bridges); do
    grep -q "^links=.*\b$link\b" "$file" || ip link delete "$link" 2>/dev/null || true
  done
  if grep -qx chains=0 "$file"; then
    for command in iptables ip6tables; do
      for table in filter nat mangle raw; do remove_docker_chains "$command" "$table"; done
    done
    iptables -P FORWARD "$(sed -n 's/^forward=//p' "$file")"
  fi
  sed -n 's/^ip_forward=//p' "$file" >/proc/sys/net/ipv4/ip_forward
  sed -n 's/^instances=//p' "$file" >$inotify/max_user_instances
  sed -n 's/^watches=//p' "$file" >$inotify/max_user_watches
  rm "$file"
}

engine_bridges() { # Docker's own names, and no one else's
  ip -o link show type bridge | awk -F': ' '{print $2}' | grep -E '^(docker0|br-[0-9a-f]{12})$' || true
}

remove_docker_chains() { # IPTABLES TABLE
  local rules
  rules=$("$1-save" -t "$2" 2>/dev/null) || return 0
  {
    echo "*$2"
    # every rule that names one of Docker's chains or bridges, then the chains
    grep -E '^-A ' <<<"$rules" | grep -E '(-A|-j|-g) DOCKER|(-i|-o) (docker0|br-[0-9a-f]{12})|-s (172\.1[7-9]|172\.2[0-9]|172\.3[01]|192\.168)\.[0-9.]+/[0-9]+ ! -o |-[sd] [0-9.]+/32 .*MASQUERADE' | sed 's/^-A/-D/' || true
    grep -oE '^:DOCKER[^ ]*' <<<"$rules" | sed 's/^:/-F /; t' || true
    grep -oE '^:DOCKER[^ ]*' <<<"$rules" | sed 's/^:/-X /' || true
    echo COMMIT
  } | "$1-restore" --noflush 2>/dev/null || true
}
