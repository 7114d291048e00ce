# shellcheck shell=bash
# How a Debian becomes an image.

import_debian() { # RELEASE PACKAGES
  local settings
  settings=$(apt_settings)
  TMPDIR=$lab_cache/tmp mmdebstrap --quiet --variant=minbase --include="$2" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt=force-unsafe-io ${settings:+--aptopt="$settings"} \
    "$1" - "$(debian_mirror)" | docker import - "$image"
}
