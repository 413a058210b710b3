// SPDX-License-Identifier: Apache-2.0

/**
 * Docker with buildx, and podman as publishing sees them, over a registry that is a directory: a file for each
 * reference. Digests are hashes of the manifests, and images depend on what is staged, so that the same content has the
 * same digest and other content has another.
 */

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { imageCheckout } from './fake-engine.ts';
import type { FakeCheckout } from './fake-rust.ts';
import { runTaskFile, type TaskOptions, type TaskResult } from './run-task.ts';

const DOCKER_INFO = '{"Architecture":"x86_64","ServerVersion":"28.0.0"}';
const PODMAN_INFO = '{"host":{"arch":"amd64"},"version":{"Version":"5.0.0"}}';

/** Runs first in every fake: helpers, then what a test wants done (`FAKE_DO`, bash) at calls that hold `FAKE_ON`. */
const PRELUDE = `
args=("$@")
last=\${args[$# - 1]}
value() { for ((i = 0; i < \${#args[@]}; i++)); do [[ \${args[i]} == "$1" ]] && echo "\${args[i + 1]}"; done; return 0; }
place() { local ref=\${1#docker://}; ref=\${ref//\\//%}; echo "$FAKE_STATE/registry/\${ref//:/=}"; }
hash() { local sum; sum=$(printf %s "$1" | /usr/bin/sha256sum); echo "sha256:\${sum%% *}"; }
# The manifest of one platform of a component: it depends on the binary in the build context and on nothing else.
image() {
  local arch=\${2#linux/} binary=openshell-gateway
  [[ $1 == gateway ]] || binary=openshell-sandbox
  local sum
  sum=$(/usr/bin/sha256sum "$last/deploy/docker/.build/prebuilt-binaries/$arch/$binary") || exit 1
  printf '{"of":"%s","name":"%s","layer":"%s"}' "$2" "$1" "\${sum%% *}"
}
store() { printf %s "$2" > "$(place "$1")"; }
entry() { printf '{"digest":"%s","platform":{"os":"linux","architecture":"%s"}}' "$1" "\${2#linux/}"; }
index() { local IFS=,; printf '{"manifests":[%s]}' "$*"; }
component() { local file; file=$(value -f); echo "\${file##*.}"; }
if [[ -n \${FAKE_ON:-} && "\${0##*/} $*" == *"$FAKE_ON"* ]]; then eval "$FAKE_DO"; fi
`;

const DOCKER_BUILD = `
c=$(component)
output=$(value --output)
repo=\${output#*name=}; repo=\${repo%%,*}
entries=()
IFS=, read -ra platforms <<< "$(value --platform)"
for p in "\${platforms[@]}"; do
  m=$(image "$c" "$p") || exit 1
  [[ $output == *push-by-digest=true* && $output == *push=true* ]] && store "$repo@$(hash "$m")" "$m"
  entries+=("$(entry "$(hash "$m")" "$p")")
done
(( \${#entries[@]} == 1 )) || m=$(index "\${entries[@]}")
store "$repo@$(hash "$m")" "$m"
printf '{"containerimage.digest":"%s"}' "$(hash "$m")" > "$(value --metadata-file)"
`;

const DOCKER_INSPECT = `
file=$(place "$last")
[[ -f $file ]] || { echo "ERROR: $last: not found" >&2; exit 1; }
m=$(< "$file")
printf '{"digest":"%s",%s\\n' "$(hash "$m")" "\${m#?}"
`;

const PODMAN_BUILD = `
m=$(image "$(component)" "$(value --platform)") || exit 1
id=$(hash "$m")
/bin/mkdir -p "$FAKE_STATE/images"
printf %s "$m" > "$FAKE_STATE/images/$id"
printf %s "$id" > "$(value --iidfile)"
`;

const PODMAN_PUSH = `
for word in "$@"; do [[ $word == sha256:* ]] && id=$word; done
m=$(< "$FAKE_STATE/images/$id")
store "$last" "$m"
repo=\${last%:*}
store "$repo@$(hash "$m")" "$m"
printf %s "$(hash "$m")" > "$(value --digestfile)"
`;

/** Lists of podman: a file for each, with a line for each image. */
const PODMAN_MANIFEST = `
list() { local name=\${1//\\//%}; echo "$FAKE_STATE/lists/\${name//:/=}"; }
/bin/mkdir -p "$FAKE_STATE/lists"
shift
case $1 in
  create)
    [[ -e $(list "$last") ]] && { echo "Error: that name is already in use" >&2; exit 125; }
    : > "$(list "$last")" ;;
  add)
    shift; name=
    for word in "$@"; do
      case $word in
        --*) ;;
        docker://*)
          file=$(place "$word")
          [[ -f $file ]] || { echo "Error: reading $word: manifest unknown" >&2; exit 125; }
          m=$(< "$file")
          of=\${m#*'"of":"'}; printf '%s\\n' "$(entry "$(hash "$m")" "\${of%%'"'*}")" >> "$(list "$name")" ;;
        *) name=$word ;;
      esac
    done ;;
  push)
    mapfile -t entries < "$(list "\${args[\${#args[@]} - 2]}")"
    m=$(index "\${entries[@]}")
    store "$last" "$m"
    printf %s "$(hash "$m")" > "$(value --digestfile)" ;;
  rm) shift; for name in "$@"; do /bin/rm "$(list "$name")" || exit 1; done ;;
esac
`;

const PODMAN_SEARCH = `
compgen -G "$(place "$last")=*" > /dev/null || { echo "Error: fetching tags list: name unknown" >&2; exit 125; }
`;

const PODMAN_IMAGES = `
for file in "$FAKE_STATE"/lists/*; do
  [[ -e $file ]] || continue
  name=\${file##*/}; name=\${name//%//}; echo "\${name//=/:}"
done
`;

/** The row that buildx gives for a builder. */
export function builderRow(name: string, driver: string): string {
  return `printf 'Name:          ${name}\\nDriver:        ${driver}\\nLast Activity: now\\n'`;
}

export interface FakePublishingOptions {
  readonly engine?: 'docker' | 'podman';
  /** Builders by name; '' is the current one. Others do not exist. */
  readonly builders?: Readonly<Record<string, string>>;
}

/** A checkout that can be published, with the tools and the registry for it. */
export class FakePublishing {
  readonly checkout: FakeCheckout = imageCheckout();
  readonly #state: string;
  readonly #engine: 'docker' | 'podman';

  constructor({ engine = 'docker', builders }: FakePublishingOptions = {}) {
    this.#engine = engine;
    this.#state = join(this.checkout.tools.directory, 'state');
    mkdirSync(join(this.#state, 'registry'), { recursive: true });
    if (engine === 'docker') this.#addDocker(builders ?? { '': builderRow('far', 'remote') });
    else this.#addPodman();
  }

  #addDocker(builders: Readonly<Record<string, string>>): void {
    const arms = Object.entries(builders).map(([name, script]) => `  ${name || "''"}) ${script} ;;`);
    this.checkout.tools.add('docker', [
      { args: ['info', '--format', '{{json .}}'], script: `${PRELUDE}echo '${DOCKER_INFO}'` },
      {
        args: ['buildx', 'inspect'],
        script: `${PRELUDE}case \${3:-} in\n${arms.join('\n')}\n  *) echo "ERROR: no builder \\"$3\\" found" >&2; exit 1 ;;\nesac`,
      },
      { args: ['buildx', 'create', '--name'], script: `${PRELUDE}:` },
      { args: ['buildx', 'build'], script: PRELUDE + DOCKER_BUILD },
      {
        args: ['buildx', 'imagetools', 'create'],
        script: `${PRELUDE}[[ -f $(place "$last") ]] || exit 1\nstore "$(value -t)" "$(< "$(place "$last")")"`,
      },
      { args: ['buildx', 'imagetools', 'inspect'], script: PRELUDE + DOCKER_INSPECT },
    ]);
  }

  #addPodman(): void {
    this.checkout.tools.add('podman', [
      { args: ['info', '--format', '{{json .}}'], script: `${PRELUDE}echo '${PODMAN_INFO}'` },
      { args: ['build'], script: PRELUDE + PODMAN_BUILD },
      { args: ['push'], script: PRELUDE + PODMAN_PUSH },
      { args: ['manifest'], script: PRELUDE + PODMAN_MANIFEST },
      { args: ['search', '--list-tags'], script: PRELUDE + PODMAN_SEARCH },
      { args: ['images', '--filter'], script: PRELUDE + PODMAN_IMAGES },
    ]);
  }

  /** The environment of the task. */
  env(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
    return this.checkout.env({
      CONTAINER_ENGINE: this.#engine,
      DOCKER_REGISTRY: 'ghcr.io/org',
      FAKE_STATE: this.#state,
      TMPDIR: this.temporary,
      ...extra,
    });
  }

  /** Runs the task. */
  publish(
    extra: Readonly<Record<string, string>> = {},
    args: readonly string[] = [],
    options: Partial<TaskOptions> = {},
  ): Promise<TaskResult> {
    const env = this.env(extra);
    return runTaskFile('docker-publish-multiarch', args, { cwd: this.checkout.root, env, ...options });
  }

  /** The directory for temporary files of the task. */
  get temporary(): string {
    const directory = join(this.checkout.tools.directory, 'tmp');
    mkdirSync(directory, { recursive: true });
    return directory;
  }

  /** What the registry has under tags: `ghcr.io/org/gateway:dev` to its manifest. */
  tags(): Record<string, string> {
    const directory = join(this.#state, 'registry');
    const names = readdirSync(directory).filter((name) => !name.includes('@'));
    return Object.fromEntries(
      names.map((name) => [name.replaceAll('%', '/').replace('=', ':'), readFileSync(join(directory, name), 'utf8')]),
    );
  }

  /** Puts something under a reference of the registry. */
  setTag(reference: string, manifest: string): void {
    writeFileSync(join(this.#state, 'registry', reference.replaceAll('/', '%').replace(':', '=')), manifest);
  }

  /** Names that podman has on this machine. */
  lists(): string[] {
    const directory = join(this.#state, 'lists');
    return existsSync(directory) ? readdirSync(directory) : [];
  }

  setList(name: string): void {
    mkdirSync(join(this.#state, 'lists'), { recursive: true });
    writeFileSync(join(this.#state, 'lists', name.replaceAll('/', '%').replace(':', '=')), '');
  }

  /** The calls of the engine that build, push or tag, as lines. */
  changes(): string[] {
    const changing = /^(docker buildx (build|create|imagetools create)|podman (build|push|manifest (create|add|push)))/;
    return this.checkout.tools.lines().filter((line) => changing.test(line));
  }

  /** Whether a call has left this mark: `: > "$FAKE_STATE/NAME"`. */
  hasMark(name: string): boolean {
    return existsSync(join(this.#state, name));
  }
}
