# shellcheck shell=bash
# "Another machine": an older engine and an sshd in namespaces and a root folder of their own,
# reached only by the address of a veth pair.

remote_folder=$lab_state/remote
remote_link=lab-remote
names_and_ids=(--no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}')

remote_docker() { docker --host "tcp://$remote_host:$remote_port" --tlsverify \
  --tlscacert "$remote_folder/certs/ca.pem" --tlscert "$remote_folder/certs/cert.pem" --tlskey "$remote_folder/certs/key.pem" "$@"; }

remote_answers() { [ -n "$(remote_init)" ] && remote_docker version >/dev/null 2>&1; }

remote_init() { # the PIDs of its first process, as seen from here
  pgrep -f "^bash $remote_folder/boot " || true
}

start_remote() {
  if ! remote_answers; then
    local started=$SECONDS
    stop_remote
    unpack_remote
    make_keys
    say "remote: starting"
    boot_remote
    until remote_answers; do
      [ -n "$(remote_init)" ] || { tail -n 20 "$remote_folder/log" >&2; die "the second engine ended; its log is $remote_folder/log"; }
      [ $((SECONDS - started)) -lt 90 ] || die "the second engine did not answer within 90 s; its log is $remote_folder/log"
      sleep 0.1
    done
    say "remote: answers after $((SECONDS - started)) s"
  fi
  carry_images
}

unpack_remote() {
  local key=${part_key[remote]}
  [ "$(cat "$remote_folder/root.key" 2>/dev/null)" != "$key" ] || return 0
  rm -rf --one-file-system "$remote_folder/root" "$remote_folder/root.key"
  mkdir -p "$remote_folder/root"
  tar -xf "$(part_folder remote)/root.tar" -C "$remote_folder/root"
  echo "$key" >"$remote_folder/root.key"
}

make_keys() { # once: TLS for the engine's port, and a key for ssh
  local certs=$remote_folder/certs ssh=$remote_folder/ssh root=$remote_folder/root
  if [ ! -s "$certs/whole" ]; then
    rm -rf "$certs" "$ssh"
    mkdir -p "$certs" "$ssh"
    {
      openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj '/CN=lab' -keyout "$certs/ca-key.pem" -out "$certs/ca.pem"
      sign_certificate server "subjectAltName=IP:$remote_host" serverAuth
      sign_certificate client "subjectAltName=DNS:lab" clientAuth
      mv "$certs/client.pem" "$certs/cert.pem"
      mv "$certs/client-key.pem" "$certs/key.pem"
      ssh-keygen -q -t ed25519 -N '' -C lab -f "$ssh/id_ed25519"
      ssh-keygen -q -t ed25519 -N '' -C lab-remote -f "$ssh/host_key"
    } 2>"$remote_folder/keys.log"
    printf '%s %s\n' "$remote_host" "$(cat "$ssh/host_key.pub")" >"$ssh/known_hosts"
    printf 'Host %s\n  User root\n  IdentityFile %s\n  IdentitiesOnly yes\n  UserKnownHostsFile %s\n' \
      "$remote_host" "$ssh/id_ed25519" "$ssh/known_hosts" >"$ssh/config"
    echo whole >"$certs/whole"
  fi
  mkdir -p "$root/etc/docker/certs" "$root/root/.ssh"
  cp "$certs"/{ca,server,server-key}.pem "$root/etc/docker/certs/"
  rm -f "$root"/etc/ssh/ssh_host_*
  cp "$ssh/host_key" "$root/etc/ssh/ssh_host_ed25519_key"
  cp "$ssh/id_ed25519.pub" "$root/root/.ssh/authorized_keys"
  chmod 600 "$root/root/.ssh/authorized_keys"
  if can_raise_limits; then
    rm -f "$root/etc/docker/daemon.json"
  else
    cp "$lab_home/engine/runc-wrapper" "$root/usr/local/sbin/"
    echo '{"default-runtime": "lab", "runtimes": {"lab": {"path": "/usr/local/sbin/runc-wrapper"}}}' >"$root/etc/docker/daemon.json"
  fi
}

sign_certificate() { # NAME ALTERNATIVE-NAME USE
  local certs=$remote_folder/certs
  openssl req -newkey rsa:2048 -nodes -subj "/CN=lab-$1" -keyout "$certs/$1-key.pem" -out "$certs/$1.csr"
  openssl x509 -req -days 3650 -in "$certs/$1.csr" -CA "$certs/ca.pem" -CAkey "$certs/ca-key.pem" -CAcreateserial \
    -extfile <(printf '%s\nextendedKeyUsage=%s\n' "$2" "$3") -out "$certs/$1.pem"
}

boot_remote() {
  local launcher init=
  cp "$lab_home/remote/boot" "$remote_folder/"
  rm -f "$remote_folder/root/var/run/docker.pid"
  unlocked setsid unshare --mount --pid --net --uts --ipc --fork --kill-child \
    bash "$remote_folder/boot" "$remote_folder/root" "$remote_host" "$remote_gateway" "$remote_port" >>"$remote_folder/log" 2>&1 </dev/null &
  launcher=$!
  until [ -n "$init" ]; do
    kill -0 "$launcher" 2>/dev/null || die "the second engine's namespaces could not be made; see $remote_folder/log"
    sleep 0.02
    read -r init <"/proc/$launcher/task/$launcher/children" || true
  done
  ip link add "$remote_link" type veth peer name eth0 netns "$init"
  ip address add "$remote_gateway/30" dev "$remote_link"
  ip link set "$remote_link" up
  echo 1 >/proc/sys/net/ipv4/ip_forward
  remote_rules -I
}

remote_rules() { # -I or -D: lets it reach what this machine reaches
  iptables "$1" FORWARD -i "$remote_link" -m comment --comment topo-lab -j ACCEPT
  iptables "$1" FORWARD -o "$remote_link" -m comment --comment topo-lab -j ACCEPT
  iptables -t nat "$1" POSTROUTING -s "$remote_host" ! -o "$remote_link" -m comment --comment topo-lab -j MASQUERADE
}

stop_remote() {
  local pid
  for pid in $(remote_init); do
    kill -TERM "$pid"
    await_end "$pid" 20 || kill -KILL "$pid"
    await_end "$pid" 5 || die "the second engine's process $pid does not end"
  done
  ip link delete "$remote_link" 2>/dev/null || true
  while remote_rules -D 2>/dev/null; do :; done
}

carry_images() { # nothing can be pulled there either
  local image missing earlier
  mapfile -t missing < <(images_missing_there)
  if [ ${#missing[@]} -gt 0 ]; then
    say "remote: taking in ${#missing[@]} images"
    docker save "${missing[@]}" | remote_docker load -q >/dev/null
  fi
  mapfile -t earlier < <(remote_docker image ls --format '{{.Repository}}:{{.Tag}}' | grep '^lab/' | grep -vxFf <(images_wanted_there))
  for image in "${earlier[@]}"; do remote_docker image rm "$image" >/dev/null 2>&1 || true; done
}

images_wanted_there() {
  printf '%s\n' "$node_image" "$(part_image debian)" "$(part_image echo)" "$(part_image sshd)" "$(part_image client)" \
    "quay.io/metallb/controller:v$metallb_version" "quay.io/metallb/speaker:v$metallb_version"
}

images_missing_there() { # under that name, with what it means here
  local image id
  local -A here there
  while read -r image id; do here[$image]=$id; done < <(docker image ls "${names_and_ids[@]}")
  while read -r image id; do there[$image]=$id; done < <(remote_docker image ls "${names_and_ids[@]}")
  images_wanted_there | while read -r image; do
    [ "${there[$image]:-none}" = "${here[$image]:-unknown}" ] || echo "$image"
  done
}
