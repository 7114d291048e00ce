# shellcheck shell=bash
# The second engine, as a cluster's home.

remote_kind() {
  DOCKER_HOST="tcp://$remote_host:$remote_port" DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH="$remote_folder/certs" \
    env -u KIND_EXPERIMENTAL_DOCKER_NETWORK kind "$@"
}

check_remote() {
  local ssh=(ssh -F "$remote_folder/ssh/config" "$remote_host")
  printf 'FROM %s\nRUN apt-get update -qq\n' "$(part_image debian)" | remote_docker build --no-cache -t lab-selftest -
  remote_docker image rm lab-selftest
  expect '^lab-remote$' "${ssh[@]}" hostname
  [ "$("${ssh[@]}" docker info -f '{{.ID}}')" = "$(remote_docker info -f '{{.ID}}')" ]
  [ "$(remote_docker info -f '{{.ID}}')" != "$(docker info -f '{{.ID}}')" ]
  expect 'refused|tlsv1|certificate|HTTP request to an HTTPS server' docker --host "tcp://$remote_host:$remote_port" version # no entry without the key
  expect "refused|Couldn't connect" curl -sS --max-time 3 "http://127.0.0.1:$remote_port"
  remote_kind create cluster --name lab-remote --image "$node_image" --kubeconfig "$selftest_folder/remote" --wait 180s --config - <<YAML
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
networking: {apiServerAddress: $remote_host, apiServerPort: 6443}
YAML
  kubectl --kubeconfig "$selftest_folder/remote" wait --for=condition=Ready node --all --timeout=60s
  expect '^$' docker ps -q --filter name=lab-remote
  remote_kind delete cluster --name lab-remote
}
