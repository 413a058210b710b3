#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0

# The guard's own `ulimit`, on a wide link: Node cannot have raised the limit instead. The bash that the runner starts is
# one that first lowers its soft limit to 256, and the runner is told that it is 256: so it is on a Mac whose Node has not
# raised it. For macOS, where nothing lowers the limit of a running Node as the demo does; it runs on Linux too. What it
# builds goes to a temporary directory.
#
#     npm install && npm run demo && bash test/prove-guard.sh

set -euo pipefail
suite="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export PATH="$suite/node_modules/.bin:$PATH"
case "$(uname -m)" in
  arm64 | aarch64) target=aarch64-unknown-linux-musl platform=linux/arm64 ;;
  *) target=x86_64-unknown-linux-musl platform=linux/amd64 ;;
esac

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$suite"
export OPENSHELL_ROOT="$work/openshell"
node --input-type=module -e '
  import { makeMiniature } from "./test/support/miniature.ts";
  makeMiniature({ at: process.env.OPENSHELL_ROOT, width: 400 });'
PATH="$(node --input-type=module -e '
  import { toolEnvironment } from "./test/support/real-tools.ts";
  console.log(toolEnvironment(process.env).PATH);')"
export PATH DOCKER_PLATFORM="$platform"
unset RUSTC_WRAPPER OPENSHELL_BUILD_NOFILE_GUARD OPENSHELL_BUILD_NOFILE_LIMIT OPENSHELL_VM_BUILD_NOFILE_LIMIT
mkdir "$work/low"
printf '#!/bin/bash\nulimit -S -n 256\nexec /bin/bash "$@"\n' >"$work/low/bash"
chmod +x "$work/low/bash"
cd "$OPENSHELL_ROOT"

fail() {
  printf 'error: %s: %s\n' "$1" "$(tail -n 3 "$work/log")" >&2
  exit 1
}

link=(cargo zigbuild --release --target "$target" -p openshell-sandbox)
order="$(printf '"%s",' "${link[@]}")"
order="{\"verb\":\"cargo\",\"args\":[${order%,}],\"machine\":{\"platform\":\"darwin\",\"limits\":{\"soft\":256,\"hard\":8192}}}"

# $1: the status, $2: the text that is expected; then what is run.
expect() {
  local wanted="$1" text="$2" status=0
  shift 2
  (ulimit -S -n 256 && exec "$@") >"$work/log" 2>&1 || status=$?
  [[ "$status" == "$wanted" ]] || fail "status $status, not $wanted"
  grep -- "$text" "$work/log" | head -n 1 || fail "no '$text'"
}

echo '==> cargo alone, 256 open files'
expect 101 ProcessFdQuotaExceeded "${link[@]}"
echo '==> the runner, guard off'
expect 101 ProcessFdQuotaExceeded env PATH="$work/low:$PATH" OPENSHELL_BUILD_NOFILE_GUARD=off \
  node "$suite/test/support/runner-driver.ts" "$order"
echo '==> the runner, guard on'
expect 0 'raised .* 256 -> 8192' env PATH="$work/low:$PATH" node "$suite/test/support/runner-driver.ts" "$order"
[[ -x "target/$target/release/openshell-sandbox" ]] || fail 'nothing was linked'
echo '==> the task, a hard limit of 512'
ulimit -S -n 256
ulimit -H -n 512
expect 2 'hard limit of open files is 512' env OPENSHELL_BUILD_NOFILE_GUARD=on node "$suite/tasks/stage.ts" supervisor
