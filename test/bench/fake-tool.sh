#!/bin/sh
# SPDX-License-Identifier: Apache-2.0

# The build tools of the benchmark: one program under many names, the same for bash's tasks and for
# ours, as cheap as a script can be (plain sh, no other program started unless the tool would).
# It stands in a folder of links beside `binaries/`, which holds an ELF file for each CPU.

here=${0%/*}

unexpected() {
  echo "fake ${0##*/}: unexpected call: $*" >&2
  exit 97
}

# Cargo's own behaviour where tasks can see it: an up-to-date output is left alone, and cargo says
# where it is when it is asked to.
cargo_build() {
  directory=${CARGO_TARGET_DIR:-$PWD/target} profile=debug targets='' binary='' package='' json=no
  while [ $# -gt 0 ]; do
    case $1 in
      --release) profile=release ;;
      --target) targets="$targets $2" && shift ;;
      --bin) binary=$2 && shift ;;
      -p) package=$2 && shift ;;
      --message-format=json*) json=yes ;;
    esac
    shift
  done
  binary=${binary:-$package}
  for target in ${targets:-host}; do
    triple=${target%%.*}
    case $triple in
      host) output=$directory/$profile/$binary cpu=x86_64 ;;
      *) output=$directory/$triple/$profile/$binary cpu=${triple%%-*} ;;
    esac
    [ -f "$output" ] || { mkdir -p "${output%/*}" && cp "$here/../binaries/$cpu" "$output"; } || exit 101
    [ "$json" = no ] || printf \
      '{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"%s"},"executable":"%s","fresh":true}\n' \
      "$binary" "$output"
  done
}

index=sha256:0000000000000000000000000000000000000000000000000000000000000001
image='{"digest":"sha256:2","platform":{"os":"linux","architecture":'

# A pushed image has a digest, which docker writes where it is told to.
docker_build() {
  while [ $# -gt 0 ]; do
    [ "$1" != --metadata-file ] || printf '{"containerimage.digest":"%s"}' "$index" >"$2"
    shift
  done
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
      *) unexpected "$@" ;;
    esac
    ;;
  docker)
    case "$*" in
      --version) echo 'Docker version 28.2.2, build e6534b4' ;;
      'info --format {{.Architecture}}') echo x86_64 ;;
      'info --format '*) echo '{"Architecture":"x86_64","ServerVersion":"28.2.2"}' ;;
      'context inspect '*) echo default ;;
      'buildx inspect multiarch') printf 'Name:   multiarch\nDriver: docker-container\n' ;;
      'buildx inspect'*) printf 'Name:   default\nDriver: docker\n' ;;
      'buildx use '*) ;;
      'buildx build '*) docker_build "$@" ;;
      'buildx imagetools create '*) : >.fake-registry ;;
      'buildx imagetools inspect '*) docker_inspect ;;
      *) unexpected "$@" ;;
    esac
    ;;
  cargo-zigbuild | zig) ;;
  *) unexpected "$@" ;;
esac
