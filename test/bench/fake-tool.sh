#!/bin/sh
# SPDX-License-Identifier: Apache-2.0

# The build tools of the benchmark: one program under many names, the same for bash's tasks and for
# ours, as cheap as a script can be (plain sh, no other program started unless the tool would).
# It stands in a directory of links beside `binaries/`, which holds an ELF file for each CPU, and `rustlib/`.

here=${0%/*}

unexpected() {
  echo "fake ${0##*/}: unexpected call: $*" >&2
  exit 97
}

# Cargo's own behaviour where tasks can see it: an up-to-date output is left alone, and cargo says
# where it is when it is asked to.
# The VM driver has the runtime in it.
embed() {
  case $1 in */openshell-driver-vm) cat "$OPENSHELL_VM_RUNTIME_COMPRESSED_DIR"/*.zst >>"$1" ;; esac
}

cargo_build() {
  directory=${CARGO_TARGET_DIR:-$PWD/target} profile=debug targets='' binaries='' packages='' json=no
  while [ $# -gt 0 ]; do
    case $1 in
      --release) profile=release ;;
      --target) targets="$targets $2" && shift ;;
      --target-dir) directory=$2 && shift ;;
      --bin) binaries="$binaries $2" && shift ;;
      -p) packages="$packages $2" && shift ;;
      --message-format=json*) json=yes ;;
    esac
    shift
  done
  # Without names, a package's own binary.
  for target in ${targets:-host}; do for binary in ${binaries:-$packages}; do
    [ "$binary" != openshell-server ] || binary=openshell-gateway
    triple=${target%%.*}
    case $triple in
      host) output=$directory/$profile/$binary cpu=x86_64 ;;
      *) output=$directory/$triple/$profile/$binary cpu=${triple%%-*} ;;
    esac
    app=$here/../binaries/$binary
    # What runs here has a file of its own.
    [ "$triple" = host ] && [ -f "$app" ] || app=$here/../binaries/$cpu
    [ -f "$output" ] || { mkdir -p "${output%/*}" && cp "$app" "$output" && embed "$output"; } || exit 101
    [ "$json" = no ] || printf \
      '{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"%s"},"executable":"%s","fresh":true}\n' \
      "$binary" "$output"
  done; done
}

index=sha256:0000000000000000000000000000000000000000000000000000000000000001
image='{"digest":"sha256:2","platform":{"os":"linux","architecture":'

# A pushed image has a digest, which docker writes where it is told to.
docker_build() {
  while [ $# -gt 0 ]; do
    [ "$1" != --metadata-file ] || printf '{"containerimage.digest":"%s"}' "$index" >"$2"
    case $1 in type=local,dest=*) mkdir -p "${1#*dest=}" && cp "$here/../binaries/aarch64" "${1#*dest=}/openshell-sandbox" ;; esac
    shift
  done
}

# One image, remembered in the checkout; every build is new.
podman_build() {
  while [ $# -gt 0 ]; do
    [ "$1" != --iidfile ] || printf 'sha256:1' >"$2"
    shift
  done
  printf '[{"Id":"1","Labels":{}}]' >.fake-image
}

# The registry is a file that the first tag makes.
docker_inspect() {
  [ -f .fake-registry ] || { echo 'ERROR: localhost:1/org/x:dev: not found' >&2 && exit 1; }
  printf '{"digest":"%s","manifests":[%s"amd64"}},%s"arm64"}}]}' "$index" "$image" "$image"
}

case ${0##*/} in
  cargo)
    case $1 in
      build | zigbuild) cargo_build "$@" ;;
      metadata)
        printf '{"target_directory":"%s","packages":[' "${CARGO_TARGET_DIR:-$PWD/target}"
        printf '{"name":"openshell-server","features":{"bundled-z3":[]},"dependencies":[]},'
        printf '{"name":"openshell-sandbox","features":{},"dependencies":[]}]}\n'
        ;;
      *) unexpected "$@" ;;
    esac
    ;;
  rustc)
    case "$*" in
      '--print target-libdir') echo "$here/../rustlib/x86_64-unknown-linux-gnu/lib" ;;
      *) unexpected "$@" ;;
    esac
    ;;
  rustup)
    case "$*" in
      'target list --installed')
        for cpu in x86_64 aarch64; do
          echo "$cpu-unknown-linux-gnu"
          echo "$cpu-unknown-linux-musl"
        done
        ;;
      'target add '*) ;;
      *) unexpected "$@" ;;
    esac
    ;;
  mise)
    case $1 in
      x) shift 2 && exec "$@" ;;
      which) [ -x "$here/$2" ] && echo "$here/$2" ;;
      env) echo '{}' ;;
      run)
        case $2 in
          build:gateway) exec cargo build -p openshell-server --bin openshell-gateway ;;
          build:docker:supervisor) exec bash tasks/scripts/docker-build-image.sh supervisor ;;
          *) unexpected "$@" ;;
        esac
        ;;
      *) unexpected "$@" ;;
    esac
    ;;
  docker)
    case "$*" in
      --version) echo 'Docker version 28.2.2, build e6534b4' ;;
      info) ;;
      'info --format {{.Architecture}}') echo "${FAKE_ARCH:-x86_64}" ;;
      'info --format '*) printf '{"Architecture":"%s","ServerVersion":"28.2.2"}\n' "${FAKE_ARCH:-x86_64}" ;;
      'context inspect '*) echo default ;;
      'context inspect') printf '[{"Endpoints":{"docker":{"Host":"unix://%s/docker.sock"}}}]\n' "${here%/*}" ;;
      'buildx inspect multiarch') printf 'Name:   multiarch\nDriver: docker-container\n' ;;
      'buildx inspect'*) printf 'Name:   default\nDriver: docker\n' ;;
      'buildx use '*) ;;
      'buildx build '*) docker_build "$@" ;;
      'buildx imagetools create '*) : >.fake-registry ;;
      'buildx imagetools inspect '*) docker_inspect ;;
      *) unexpected "$@" ;;
    esac
    ;;
  podman)
    case "$*" in
      --version) echo 'podman version 5.0.0' ;;
      info) ;;
      'info --format {{.Host.Arch}}') echo amd64 ;;
      'info --format '*)
        printf '{"host":{"arch":"amd64","remoteSocket":{"path":"%s/podman.sock"}},"version":{"Version":"5.0.0"}}\n' "${here%/*}"
        ;;
      'image exists '*) ;;
      'image inspect '*) [ -f .fake-image ] && cat .fake-image ;;
      'build '*) podman_build "$@" ;;
      *) unexpected "$@" ;;
    esac
    ;;
  cc) echo /usr/lib/libc.a ;;
  cargo-zigbuild | zig) ;;
  *) unexpected "$@" ;;
esac
