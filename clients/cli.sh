#!/bin/sh
# The openstack command does a server's life: cli.sh FIRST_IMAGE SECOND_IMAGE FLAVOR. Prints the server's id.
set -eu
first="$1" second="$2" flavor="$3"
id=$(openstack server create --image "$first" --flavor "$flavor" --wait --format value --column id cli)
openstack server rebuild --image "$second" --wait "$id" >/dev/null
shown=$(openstack server show --format json "$id")
case "$shown" in *"$second"*) ;; *) echo "the image is not the second: $shown" >&2; exit 1 ;; esac
openstack server delete --wait "$id"
echo "$id"
