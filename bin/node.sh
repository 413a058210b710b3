#!/bin/sh
# SPDX-License-Identifier: Apache-2.0

# `node` as npx and npm run find it: the Node 24 that npm install brings, else one on PATH. Where an older Node is the
# only one, because install scripts were off, that is said in one line: it cannot even read a task.

# The last place is for this file itself, which adopt and openshell-tasks start.
for node in ../node ../../node ../node_modules/node; do
  node=${0%/*}/$node/bin/node
  if [ -x "$node" ]; then exec "$node" "$@"; fi
done

# These run on any Node, and bring the right one.
is_installer=
case ${npm_lifecycle_event-} in preinstall | install | postinstall) is_installer=1 ;; esac
case ${1##*/} in npm | npm-cli.js | npx | npx-cli.js | pnpm | pnpm.cjs | pnpx | corepack) is_installer=1 ;; esac

found=none
set -f
IFS=:
for directory in $PATH; do
  # Such a directory may have this very file, and any other one a link to it.
  case $directory in */node_modules/.bin | [!/]* | '') continue ;; esac
  node=$directory/node
  if [ ! -x "$node" ] || [ "$node" -ef "$0" ]; then continue; fi
  if [ -n "$is_installer" ]; then exec "$node" "$@"; fi
  version=$("$node" -p process.versions.node) || continue
  if [ "${version%%.*}" -ge 24 ]; then exec "$node" "$@"; fi
  [ "$found" != none ] || found=$version
done

printf '%s\n' "error: the tasks need Node 24, and PATH has $found; npm install in their clone brings one (after an install \
with scripts off: npm rebuild node), or put Node 24 on PATH" >&2
exit 2
