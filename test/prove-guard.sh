#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0

# The guard, with no more of the demo than the tools that it fetches: in a shell that allows 256 open files, a bare cargo dies in the wide link, the
# task links, and a hard limit that is too low is refused before anything is built. For macOS, where nothing lowers the
# limit of a running Node as the demo does; it runs on Linux too. What it builds goes to a temporary directory.
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
node --input-type=module -e "
  const { makeMiniature } = await import('$suite/test/support/miniature.ts');
  makeMiniature({ at: '$work/openshell', width: 400 });"
PATH="$(node --input-type=module -e "
  const { toolEnvironment } = await import('$suite/test/support/real-tools.ts');
  console.log(toolEnvironment(process.env).PATH);")"
export PATH OPENSHELL_ROOT="$work/openshell" DOCKER_PLATFORM="$platform" OPENSHELL_BUILD_NOFILE_GUARD=on
unset RUSTC_WRAPPER
cd "$OPENSHELL_ROOT"

fail() {
  printf 'error: %s\n' "$1" >&2
  exit 1
}

status=0
(ulimit -S -n 256 && exec cargo zigbuild --release --target "$target" -p openshell-sandbox) >"$work/bare" 2>&1 || status=$?
grep -q ProcessFdQuotaExceeded "$work/bare" || fail "the bare link at 256 ended with $status and not for want of files: $(tail -n 3 "$work/bare")"
echo "bare cargo at 256 open files: ProcessFdQuotaExceeded, status $status"

(ulimit -S -n 256 && exec node "$suite/tasks/stage.ts" supervisor) >"$work/staged" || fail 'the task did not link at 256 open files'
echo "the task at 256 open files: staged $(cat "$work/staged")"

status=0
(ulimit -S -n 256 && ulimit -H -n 512 && exec node "$suite/tasks/stage.ts" supervisor) 2>"$work/refused" || status=$?
[[ "$status" == 2 ]] || fail "a hard limit of 512 ended with $status: $(cat "$work/refused")"
echo "the task at a hard limit of 512: $(cat "$work/refused")"
