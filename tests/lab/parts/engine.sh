# shellcheck shell=bash
# The Docker engine of Debian stable, unpacked beside the system's own packages.
# It runs on the release before; only its runc wants a newer libc, and there the machine's own serves.
kind=files needs=() inputs=() pins=()

build() {
  local apt=$out.apt package
  local options=(-o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/packages"
  echo "deb $(debian_mirror) trixie main" >"$apt/sources.list"
  apt-get "${options[@]}" update -qq
  (cd "$apt/packages" && apt-get "${options[@]}" download -qq docker.io docker-cli containerd tini)
  for package in "$apt"/packages/*.deb; do dpkg -x "$package" "$out"; done
  dpkg-deb -f "$apt"/packages/docker.io_*.deb Version >"$out/version"
  rm -rf "$apt"
}

version() { echo "docker.io $(cat "$out/version")"; }
