#!/bin/sh
# SPDX-License-Identifier: Apache-2.0

# Starts a task from anywhere inside a checkout, without mise, by its name there or that of its file:
#
#     openshell-tasks gateway:docker --dry-run
#
# A link to this file works from any directory of PATH, and so does `npx --prefix CLONE openshell-tasks`.

set -eu

case $0 in
  */*) self=$0 ;;
  *) self=./$0 ;;
esac
while [ -L "$self" ]; do
  target=$(readlink "$self"; echo .)
  target=${target%??}
  case $target in
    /*) self=$target ;;
    *) self=${self%/*}/$target ;;
  esac
done
suite=$(CDPATH='' cd -P -- "${self%/*}/.." && pwd && echo .)
suite=${suite%??}

tasks() { sed -n 's/^\[tasks\."\{0,1\}\([^]"]*\)"\{0,1\}\]$/\1/p' "$suite/mise.toml"; }

# The value of a key of a task: `setting gateway run`.
setting() { sed -n "/^\[tasks\.\"\{0,1\}$1\"\{0,1\}\]\$/,/^\$/ s/^$2 = //p" "$suite/mise.toml"; }

start() {
  file=$1
  shift
  exec sh "$suite/bin/node.sh" "$suite/$file" "$@"
}

name=${1-}
case $name in
  -h | --help)
    printf 'Usage: openshell-tasks TASK [ARGUMENT]...\n\nTasks, each with --help:\n'
    tasks | sed 's/^/  /'
    exit
    ;;
  '' | *[!a-z0-9:/-]*)
    printf 'error: name a task first; openshell-tasks --help lists them\n' >&2
    exit 2
    ;;
esac
shift

if [ -f "$suite/tasks/$name.ts" ]; then start "tasks/$name.ts" "$@"; fi
case $name in */*) name= ;; esac

# A task that is others: one after the other.
depends=$(setting "$name" depends | tr -d '[]",')
if [ -n "$depends" ]; then
  for one in $depends; do sh "$suite/bin/openshell-tasks.sh" "$one" "$@"; done
  exit
fi

# run = 'node "$MISE_CONFIG_ROOT/tasks/x.ts" a b'
run=$(setting "$name" run | sed -n "s/^'.*\"\$MISE_CONFIG_ROOT\/\([^\"]*\)\" *\(.*\)'\$/\1 \2/p")
if [ -z "$run" ]; then
  printf 'error: there is no task %s; openshell-tasks --help lists them\n' "${name:-of that name}" >&2
  exit 2
fi
# Neither the variables nor the arguments that a task is declared with have blanks: env = { NAME = "value" }
for one in $(setting "$name" env | sed 's/ = /=/g' | tr -d '{}",'); do export "${one?}"; done
# shellcheck disable=SC2086
start $run "$@"
