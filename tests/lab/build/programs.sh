# shellcheck shell=bash
# How the Go programs are compiled.

compile() { # MODFILE KUBERNETES-VERSION PACKAGE...: and the one binary of Kubernetes, by each of its names
  local modfile=$1 version=$2 package=k8s.io/component-base/version name
  shift 2
  mkdir -p "$out/bin"
  cd "$lab_home/go" || return
  export CGO_ENABLED=0
  # the compiler would otherwise write the debug data that the linker then throws away: half of the time
  go build -mod=readonly -modfile="$modfile" -trimpath -gcflags=all=-dwarf=false -o "$out/bin/" \
    -ldflags "-s -w -X $package.gitVersion=v$version -X $package.gitMajor=1 -X $package.gitMinor=$(cut -d. -f2 <<<"$version") -X $package.gitTreeState=clean -X $package.buildDate=2026-01-01T00:00:00Z" \
    ./kube "$@"
  for name in kubeadm kubelet kubectl kube-apiserver kube-controller-manager kube-scheduler kube-proxy; do
    ln -s kube "$out/bin/$name"
  done
}

module_folder() { (cd "$lab_home/go" && go list -m -modfile="${2:-go.mod}" -f '{{.Dir}}' "$1"); } # MODULE [MODFILE]
