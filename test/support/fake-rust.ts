// SPDX-License-Identifier: Apache-2.0

/**
 * Fake Rust tools that drop a binary where cargo would and say so in cargo's words, and a directory
 * that passes for an OpenShell checkout.
 */

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildElf, DYNAMIC_RECIPE, type Recipe } from './elf-builder.ts';
import { bashQuote, type FakeCase, FakeTools } from './fake-tools.ts';
import { runTaskFile, type TaskOptions, type TaskResult } from './run-task.ts';
import { temporaryDirectory } from './temporary.ts';

const X86_64 = 62;
const AARCH64 = 183;

const TARGETS = ['x86_64', 'aarch64'].flatMap((cpu) => ['gnu', 'musl'].map((libc) => `${cpu}-unknown-linux-${libc}`));

/**
 * Adds a compiler that has the standard libraries of these targets.
 * @returns its sysroot, a directory beside the fakes
 */
export function addRustc(tools: FakeTools, targets: readonly string[], sysrootName = 'sysroot'): string {
  const sysroot = join(tools.directory, sysrootName);
  const libraries = (target: string) => join(sysroot, 'lib/rustlib', target, 'lib');
  for (const target of targets) {
    mkdirSync(libraries(target), { recursive: true });
    writeFileSync(join(libraries(target), 'libstd-0123456789abcdef.rlib'), '');
  }
  const script = `echo ${bashQuote(libraries('x86_64-unknown-linux-gnu'))}`;
  tools.add('rustc', [
    { args: ['--print', 'target-libdir'], script },
    { args: ['--version'], script: 'echo rustc 1.95.0' },
  ]);
  return sysroot;
}

/** What a fake cargo does, in bash, before and instead of building. */
export interface FakeCargo {
  /** Runs before the binary is made; `exit N` here is a failing build. */
  readonly before?: string;
  /** Extra cases, looked at first. */
  readonly metadata?: object;
}

/** A fake checkout with fake tools beside it. */
export class FakeCheckout {
  readonly root: string;
  readonly tools: FakeTools;
  /** The binaries that the fake cargo "builds": by the first word of the target triple. */
  readonly apps: string;

  /** @param name the name of the checkout's directory; hostile ones are welcome */
  constructor(cargo: FakeCargo = {}, name = 'checkout') {
    const directory = temporaryDirectory();
    this.root = join(directory, name);
    this.apps = join(directory, 'apps');
    mkdirSync(this.apps);
    mkdirSync(join(this.root, 'crates/openshell-server'), { recursive: true });
    writeFileSync(
      join(this.root, 'Cargo.toml'),
      '[workspace]\nmembers = []\n\n[workspace.package]\nversion = "0.0.0"\n',
    );
    this.setApp('x86_64', {});
    this.setApp('aarch64', { machine: AARCH64 });
    mkdirSync(join(directory, 'fakes'));
    this.tools = new FakeTools(join(directory, 'fakes'));
    this.setCargo(cargo);
    this.tools.addSilent('cargo-zigbuild', 'zig');
    this.tools.add('cc', [
      { args: ['-print-file-name=libc.a'], script: 'echo /usr/lib/libc.a' },
      { args: ['-print-file-name=crti.o'], script: 'echo /usr/lib/crti.o' },
    ]);
    const sysroot = addRustc(this.tools, TARGETS);
    this.tools.add('rustup', [{ args: ['which', 'rustc'], script: `echo ${bashQuote(join(sysroot, 'bin/rustc'))}` }]);
  }

  /** Takes a target away from the compiler; rustup answers these calls, beside that for its own compiler. */
  removeTarget(target: string, rustup: readonly FakeCase[] = []): void {
    const sysroot = join(this.tools.directory, 'sysroot');
    rmSync(join(sysroot, 'lib/rustlib', target), { recursive: true });
    const which = { args: ['which', 'rustc'], script: `echo ${bashQuote(join(sysroot, 'bin/rustc'))}` };
    this.tools.add('rustup', [which, ...rustup]);
  }

  /** Replaces the binary that is "built" for a CPU. */
  setApp(cpu: 'x86_64' | 'aarch64', recipe: Recipe | 'dynamic' | Buffer): void {
    const bytes = Buffer.isBuffer(recipe)
      ? recipe
      : buildElf({ machine: X86_64, ...(recipe === 'dynamic' ? DYNAMIC_RECIPE : recipe) }).bytes;
    writeFileSync(join(this.apps, cpu), bytes, { mode: 0o755 });
  }

  setCargo(cargo: FakeCargo): void {
    const build = { script: buildScript(cargo.before ?? '') };
    this.tools.add('cargo', [
      { args: ['zigbuild'], ...build },
      { args: ['build'], ...build },
      { args: ['rustc'], ...build },
      { args: ['--version'], script: 'echo cargo 1.95.0' },
      {
        args: ['metadata'],
        script: `cat <<'END'\n${JSON.stringify(cargo.metadata ?? this.metadata())}\nEND`.replace('cat', '/bin/cat'),
      },
    ]);
  }

  /** The path of a staged binary. */
  staged(arch: 'amd64' | 'arm64', binary: string): string {
    return join(this.root, 'deploy/docker/.build/prebuilt-binaries', arch, binary);
  }

  env(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
    return this.tools.env({ OPENSHELL_ROOT: this.root, FAKE_APPS: this.apps, ...extra });
  }

  /** Runs `tasks/stage.ts`. */
  stage(
    args: readonly string[],
    extra: Readonly<Record<string, string>> = {},
    options: Partial<TaskOptions> = {},
  ): Promise<TaskResult> {
    return runTaskFile('stage', args, { cwd: this.root, env: this.env(extra), ...options });
  }

  /** The calls of cargo that build, as lines. */
  builds(): string[] {
    return this.tools.lines().filter((line) => /^cargo (zig)?build/.test(line));
  }

  metadata(): object {
    return {
      target_directory: join(this.root, 'target'),
      packages: [
        { name: 'openshell-server', features: { default: [], 'bundled-z3': [], telemetry: [] }, dependencies: [] },
        {
          name: 'openshell-sandbox',
          features: { default: [], 'bundled-ca-roots': [], telemetry: [] },
          dependencies: [{ name: 'openshell-core', rename: null }],
        },
        { name: 'openshell-core', features: { telemetry: [] }, dependencies: [] },
      ],
    };
  }
}

/**
 * Makes each binary for each `--target` (for this machine where there is none) and prints cargo's message about it.
 * A file with the binary's own name among the apps wins over the one of the CPU.
 */
function buildScript(before: string): string {
  return `
targets=() binaries=() binary= json= profile=debug directory=\${CARGO_TARGET_DIR:-$PWD/target}
args=("$@")
for ((i = 0; i < \${#args[@]}; i++)); do
  case \${args[i]} in
    --target) targets+=("\${args[i + 1]%.2.28}") ;;
    --target-dir) directory=\${args[i + 1]} ;;
    --bin) binary=\${args[i + 1]} binaries+=("\${args[i + 1]}") ;;
    --release) profile=release ;;
    --message-format=json*) json=1 ;;
  esac
done
${before}
((\${#targets[@]})) || targets=(.)
for target in "\${targets[@]}"; do for binary in "\${binaries[@]}"; do
  path=$directory/$target/$profile/$binary
  path=\${path/\\/.\\///}
  cpu=\${target%%-*}
  app=$FAKE_APPS/$binary
  [[ -e $app ]] || app=$FAKE_APPS/\${cpu/./x86_64}
  /bin/mkdir -p "\${path%/*}"
  /bin/cp -p "$app" "$path.$$"
  # As the driver's build script: what is missing is not embedded, and the build succeeds.
  [[ $binary != openshell-driver-vm || -z \${OPENSHELL_VM_RUNTIME_COMPRESSED_DIR:-} ]] ||
    /bin/cat "$OPENSHELL_VM_RUNTIME_COMPRESSED_DIR"/*.zst >> "$path.$$"
  # Whoever starts it finds the old one or the new one, as with cargo.
  /bin/mv "$path.$$" "$path"
  [[ -n $json ]] || continue
  escaped=\${path//\\\\/\\\\\\\\}
  escaped=\${escaped//\\"/\\\\\\"}
  escaped=\${escaped//$'\\n'/\\\\n}
  printf '{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"%s"},"fresh":false,"executable":"%s"}\\n' "$binary" "$escaped"
done; done
`;
}
