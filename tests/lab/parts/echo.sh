# shellcheck shell=bash
# An HTTP server that says which pod on which node answered.
kind=image needs=(programs) inputs=() pins=()

build() { image_of_files "$image" echo "$(part_folder programs)/bin/echo"; }

version() { echo "of this repository"; }
