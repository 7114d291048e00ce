# shellcheck shell=bash
# Helpers for parts that are images.

export DOCKER_BUILDKIT=0 # the engine comes without buildx

build_image() { # TAG FOLDER [ARGUMENT...]: from the folder's Dockerfile
  local tag=$1 folder=$2
  shift 2
  docker build -t "$tag" "$@" "$folder"
}

image_of_files() { # TAG ENTRYPOINT FILE...: the files in /usr/local/bin and nothing else
  local tag=$1 entry=$2 context
  shift 2
  context=$(mktemp -d "$out.XXXXXX")
  mkdir "$context/bin"
  cp -a "$@" "$context/bin/"
  printf 'FROM scratch\nCOPY bin /usr/local/bin\nENTRYPOINT ["/usr/local/bin/%s"]\n' "$entry" >"$context/Dockerfile"
  build_image "$tag" "$context"
}

package_version() { # IMAGE PACKAGE
  docker run --rm --network none --entrypoint dpkg-query "$1" -W -f '${Package} ${Version}' "$2"
}
