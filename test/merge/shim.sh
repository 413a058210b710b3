@HEADER@
# For those that call this path: @TASK@ does the work.

set -euo pipefail
task="$(cd "$(dirname "${BASH_SOURCE[0]}")/@UP@" && pwd)/@TASK@"
version="$(node -p process.versions.node 2>/dev/null)" || version=none
if [[ "$version" == none || "${version%%.*}" -lt 24 ]]; then
  printf '%s\n' "error: $0 needs Node 24, and PATH has $version; run it through mise: mise exec -- $0" >&2
  exit 2
fi
exec node "$task" "$@"
