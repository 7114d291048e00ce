# shellcheck shell=bash
# NFS claims, mounted by the nodes with the lab's mount.nfs from a server beside the cluster.

nfs_folder() { echo "$selftest_folder/export"; }

nfs_server() { # once
  three_nodes
  if [ "$(docker inspect -f '{{.State.Running}}' lab-nfs 2>/dev/null)" = true ]; then return; fi
  rm -rf "$(nfs_folder)"
  mkdir -p "$(nfs_folder)"
  docker run -d --name lab-nfs --network lab-net --cap-add DAC_READ_SEARCH --cap-add SYS_ADMIN \
    -v "$(nfs_folder):/export" "$(part_image nfs-server)"
  eventually 30 listens "$(nfs_address)" 2049
}

nfs_address() { docker inspect -f '{{(index .NetworkSettings.Networks "lab-net").IPAddress}}' lab-nfs; }

listens() { timeout 2 bash -c ": </dev/tcp/$1/$2"; } # ADDRESS PORT

nfs_options() { # VERSION
  case $1 in
    4) echo 'vers=4.1, port=2049, hard' ;;
    3) echo 'vers=3, port=2049, mountport=20048, proto=tcp, nolock, hard' ;;
  esac
}

nfs_pods() { # VERSION: nfsVERSION-1 and nfsVERSION-2 on two nodes, once
  workload
  nfs_server
  if kubectl_three get pod "nfs$1-2" >/dev/null 2>&1; then return; fi
  sed "s|VERSION|$1|g; s|OPTIONS|$(nfs_options "$1")|; s|SERVER|$(nfs_address)|; s|CLIENT_IMAGE|$(part_image client)|" \
    "$lab_home/selftest/nfs.yaml" | kubectl_three apply -f -
  kubectl_three wait --for=condition=Ready "pod/nfs$1-1" "pod/nfs$1-2" --timeout=90s
}

both_ways() { # VERSION
  nfs_pods "$1"
  in_pod "nfs$1-1" -- sh -c "head -c 20000000 /dev/urandom >/data/from-pod-$1 && mkdir -p /data/folder-$1/deep && cp /data/from-pod-$1 /data/folder-$1/deep/copy && sync"
  [ "$(sha256sum <"$(nfs_folder)/from-pod-$1")" = "$(in_pod "nfs$1-2" -- sh -c "sha256sum <'/data/folder-$1/deep/copy'")" ]
  echo "the host's word" >"$(nfs_folder)/from-host-$1"
  expect "^the host's word$" in_pod "nfs$1-2" -- cat "/data/from-host-$1"
  in_pod "nfs$1-2" -- sh -c "mv /data/from-host-$1 /data/moved-$1 && rm -r /data/folder-$1 && ln -s moved-$1 /data/link-$1 && cat /data/link-$1"
  [ "$(cat "$(nfs_folder)/link-$1")" = "the host's word" ]
  [ ! -e "$(nfs_folder)/folder-$1" ]
}

check_nfs_v4() { both_ways 4; }
check_nfs_v3() { both_ways 3; }

check_nfs_owners() {
  local version
  for version in 4 3; do
    nfs_pods $version
    in_pod "nfs$version-1" -- sh -euc "umask 022; rm -rf /data/o$version; mkdir /data/o$version; cd /data/o$version; echo x >plain; echo x >secret; chmod 640 secret; chown 1234:5678 secret; chgrp 77 plain; mkdir -m 2750 shared; chown 42:43 shared
      python3 -c 'import os; os.chmod(\"/data/o$version\", 0o777); os.setgroups([99]); os.setgid(2000); os.setuid(1000); open(\"/data/o$version/users\", \"x\")'"
    diff - <(cd "$(nfs_folder)/o$version" && stat -c '%n %u:%g %a' -- *) <<'LIST'
plain 0:77 644
secret 1234:5678 640
shared 42:43 2750
users 1000:2000 644
LIST
    expect '^1234:5678 640$' in_pod "nfs$version-2" -- stat -c '%u:%g %a' "/data/o$version/secret"
  done
}

check_nfs_locks() {
  nfs_pods 4
  in_pod nfs4-1 -- sh -c ': >/data/locked'
  in_pod nfs4-1 -- python3 -c 'import fcntl, time; f = open("/data/locked", "r+"); fcntl.lockf(f, fcntl.LOCK_EX); open("/data/holding", "w"); time.sleep(6)' &
  local holder=$!
  eventually 10 test -e "$(nfs_folder)/holding"
  expect 'BlockingIOError' in_pod nfs4-2 -- python3 -c 'import fcntl; fcntl.lockf(open("/data/locked", "r+"), fcntl.LOCK_EX | fcntl.LOCK_NB)'
  expect 'held' in_pod nfs4-2 -- python3 -c "$(cat "$lab_home/selftest/who-holds.py")" /data/locked
  wait $holder
  in_pod nfs4-2 -- python3 -c 'import fcntl; fcntl.lockf(open("/data/locked", "r+"), fcntl.LOCK_EX | fcntl.LOCK_NB)'
}

check_nfs_hard() {
  nfs_pods 4
  nfs_pods 3
  local version writers=()
  for version in 4 3; do
    in_pod "nfs$version-1" -- python3 -c "
import time
with open('/data/lines-$version', 'w') as f:
    for i in range(20):
        print(i, file=f, flush=True)
        time.sleep(0.5)" &
    writers+=($!)
  done
  sleep 2
  docker kill lab-nfs
  sleep 3
  docker start lab-nfs
  wait "${writers[@]}"
  for version in 4 3; do diff <(seq 0 19) "$(nfs_folder)/lines-$version"; done
}

check_nfs_errors() {
  nfs_server
  local mount=(docker exec lab-three-worker mount -t nfs) address
  address=$(nfs_address)
  docker exec lab-three-worker mkdir -p /mnt/try
  expect 'mount.nfs: Connection refused' "${mount[@]}" -o vers=4.1,port=2050 "$address:/export" /mnt/try
  expect 'mount.nfs: mounting .*:/nothing failed, reason given by server: No such file or directory' "${mount[@]}" -o vers=4.1,port=2049 "$address:/nothing" /mnt/try
  expect 'mount.nfs: (access denied by server while mounting|mounting) .*:/nothing' "${mount[@]}" -o vers=3,port=2049,mountport=20048,nolock "$address:/nothing" /mnt/try
  expect 'mount.nfs: Connection refused' "${mount[@]}" -o vers=3,port=2049,mountport=20049,nolock "$address:/export" /mnt/try
  expect 'mount.nfs: Failed to resolve server no.such.host.invalid' "${mount[@]}" -o vers=4.1 no.such.host.invalid:/export /mnt/try
}
