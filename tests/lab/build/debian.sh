# shellcheck shell=bash
# How a Debian becomes an image.

import_debian() { # RELEASE PACKAGES [OPTION...]
  local release=$1 packages=$2 settings
  shift 2
  settings=$(apt_settings)
  # What apt fetches for one layer is not kept in it: as in Docker's own Debian.
  export apt_keeps_nothing='DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };
Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";'
  # shellcheck disable=SC2016 # it is mmdebstrap's shell that expands the hook
  TMPDIR=$lab_cache/tmp mmdebstrap --quiet --variant=minbase --include="$packages" "$@" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt=force-unsafe-io ${settings:+--aptopt="$settings"} \
    --customize-hook='printf "%s\n" "$apt_keeps_nothing" >"$1/etc/apt/apt.conf.d/docker-clean"; rm -f "$1"/var/cache/apt/*.bin' \
    "$release" - "$(debian_mirror)" | docker import - "$image"
}
