#!/bin/sh
# Build the example's image with no registry at all, and push it to Clary's: run under `clary run --`.
set -eu
cd "$(dirname "$0")"
python3 base.py | podman import - localhost/byoc-base:1
host=${CLARY_REGISTRY:-127.0.0.1:4747}
podman build --tag "$host/byoc:1" .
aws ecr create-repository --repository-name byoc || true
aws ecr get-login-password | podman login --tls-verify=false --username AWS --password-stdin "$host"
podman push --tls-verify=false "$host/byoc:1"
