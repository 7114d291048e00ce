# shellcheck shell=bash
# The three-node cluster that most checks share, and what runs in it.

export KIND_EXPERIMENTAL_DOCKER_NETWORK=lab-net

kubectl_three() { kubectl --kubeconfig "$selftest_folder/three" "$@"; }
in_pod() { kubectl_three exec "$@"; } # POD -- COMMAND...

three_nodes() { # once
  if kubectl_three get nodes >/dev/null 2>&1; then return; fi
  docker network create --subnet 10.211.0.0/18 lab-net # away from what kind and topologies take
  kind create cluster --name lab-three --image "$node_image" --kubeconfig "$selftest_folder/three" --wait 180s --config - <<'YAML'
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes: [{role: control-plane}, {role: worker}, {role: worker}]
YAML
  kubectl_three wait --for=condition=Ready node --all --timeout=120s
}

workload() { # once
  three_nodes
  if kubectl_three get pod client-2 >/dev/null 2>&1; then return; fi
  kind load docker-image --name lab-three "$(part_image echo)" "$(part_image client)" \
    "quay.io/metallb/controller:v$metallb_version" "quay.io/metallb/speaker:v$metallb_version"
  eventually 30 kubectl_three get serviceaccount default
  sed "s|ECHO_IMAGE|$(part_image echo)|; s|CLIENT_IMAGE|$(part_image client)|" "$lab_home/selftest/workload.yaml" | kubectl_three apply -f -
  kubectl_three rollout status daemonset/echo --timeout=90s
  kubectl_three wait --for=condition=Ready pod/client-1 pod/client-2 --timeout=90s
}

metallb() { # once
  workload
  if kubectl_three get ipaddresspool -n metallb-system lab >/dev/null 2>&1; then return; fi
  kubectl_three apply -f "$(part_folder programs)/metallb-native.yaml"
  kubectl_three -n metallb-system wait --for=condition=Ready pod --all --timeout=120s
  eventually 60 kubectl_three apply -f "$lab_home/selftest/pool.yaml"
}

load_balancer_address() { kubectl_three get service echo-lb -o jsonpath='{.status.loadBalancer.ingress[0].ip}'; }

node_address() { # NODE
  docker inspect -f '{{(index .NetworkSettings.Networks "lab-net").IPAddress}}' "$1"
}

check_engine() {
  docker version
  printf 'FROM %s\nRUN apt-get update -qq && apt-get install -y -qq --no-install-recommends netcat-openbsd >/dev/null\n' "$(part_image debian)" |
    docker build --no-cache -t lab-selftest -
  expect '^/.*nc$' docker run --rm lab-selftest which nc
  docker image rm lab-selftest
}

check_nodes() {
  three_nodes
  [ "$(kubectl_three get nodes --no-headers | grep -c ' Ready ')" = 3 ]
}

check_image_load() {
  workload
  local node
  for node in lab-three-control-plane lab-three-worker lab-three-worker2; do
    expect "$(part_image echo)" docker exec "$node" ctr -n k8s.io images list -q
  done
}

check_dns() {
  workload
  eventually 60 expect "^[0-9.]+$" in_pod client-1 -- dig +short echo.default.svc.cluster.local
  eventually 20 expect 'pod=echo-' in_pod client-1 -- curl -sS --max-time 5 http://echo
}

check_pod_to_pod() {
  workload
  local address
  address=$(kubectl_three get pod -l app=echo -o json | jq -r '.items[] | select(.spec.nodeName == "lab-three-worker2").status.podIP')
  eventually 20 expect 'node=lab-three-worker2' in_pod client-1 -- curl -sS --max-time 5 "http://$address:8080"
}

check_node_port() {
  workload
  eventually 20 expect 'pod=echo-' curl -sS --max-time 5 "http://$(node_address lab-three-worker):30880"
}

check_host_port() {
  workload
  eventually 20 expect 'node=lab-three-worker$' curl -sS --max-time 5 "http://$(node_address lab-three-worker):18080"
}

check_outbound() {
  workload
  local nameserver
  nameserver=$(awk '$1 == "nameserver" {print $2; exit}' /etc/resolv.conf)
  expect 'status: (NOERROR|NXDOMAIN)' in_pod client-1 -- dig +time=3 "@$nameserver" localhost # an answer, whatever it says
  expect '[0-9.]+' in_pod client-1 -- dig +short +time=3 "$(debian_mirror | sed -E 's#^[a-z]+://([^/:]+).*#\1#')"
}

check_metallb() {
  metallb
  local address
  eventually 30 expect '^[0-9.]+$' load_balancer_address
  address=$(load_balancer_address)
  eventually 20 expect 'pod=echo-' curl -sS --max-time 3 "http://$address"
  expect "$address .*lladdr" ip neigh show "$address"
  expect 'pod=echo-' docker run --rm --name lab-beside --network lab-net "$(part_image client)" curl -sS --max-time 5 "http://$address"
}

check_restart() {
  metallb
  local nodes=(lab-three-control-plane lab-three-worker lab-three-worker2) address
  address=$(load_balancer_address) # while there is somebody to ask
  docker stop -t 10 "${nodes[@]}"
  docker start "${nodes[@]}"
  eventually 90 expect 'pod=echo-' curl -sS --max-time 2 "http://$address"
  eventually 60 expect 'pod=echo-' in_pod client-1 -- curl -sS --max-time 2 http://echo
}

check_control_planes() {
  kind create cluster --name lab-ha --image "$node_image" --kubeconfig "$selftest_folder/ha" --wait 240s --config - <<'YAML'
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes: [{role: control-plane}, {role: control-plane}, {role: control-plane}]
YAML
  kubectl --kubeconfig "$selftest_folder/ha" wait --for=condition=Ready node --all --timeout=120s
  [ "$(kubectl --kubeconfig "$selftest_folder/ha" -n kube-system get pods -l component=kube-apiserver --no-headers | wc -l)" = 3 ]
  kind delete cluster --name lab-ha
}

check_delete() {
  three_nodes
  local volumes
  mapfile -t volumes < <(docker inspect -f '{{range .Mounts}}{{if eq .Type "volume"}}{{println .Name}}{{end}}{{end}}' \
    lab-three-control-plane lab-three-worker lab-three-worker2 | grep .)
  [ ${#volumes[@]} -ge 3 ]
  kind delete cluster --name lab-three
  docker rm -fv lab-nfs >/dev/null 2>&1 || true
  docker network rm lab-net # refused as long as anything is on it
  expect '^$' docker ps -aq --filter name=lab-three
  expect '^$' comm -12 <(printf '%s\n' "${volumes[@]}" | sort) <(docker volume ls -q | sort)
}
