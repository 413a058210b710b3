// SPDX-License-Identifier: Apache-2.0

/**
 * Fake programs for argv, limits and failure cases: small bash scripts in a directory that is the
 * whole PATH, so that no real tool can win. Every call is logged. A call that no case of a fake
 * expects makes the fake fail, and the test with it.
 */

import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished, TestRunner } from 'vitest';

/** One expected call: the arguments it begins with, and what the fake does then (bash). */
export interface FakeCase {
  /** The leading arguments; an empty list takes any call. */
  readonly args: readonly string[];
  readonly script: string;
}

/** A logged call. */
export interface FakeCall {
  readonly tool: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** The soft open-file limit that the program had. */
  readonly softLimit: string;
  readonly env: Readonly<Record<string, string>>;
}

const BASH = existsSync('/bin/bash') ? '/bin/bash' : '/usr/bin/bash';

export class FakeTools {
  /** The directory of everything below; the caller removes it. */
  readonly directory: string;
  readonly bin: string;

  constructor(directory: string = mkdtempSync(join(realpathSync(tmpdir()), 'fake-tools-'))) {
    this.directory = directory;
    this.bin = join(directory, 'bin');
    mkdirSync(this.bin);
    mkdirSync(join(directory, 'home'));
    mkdirSync(join(directory, 'calls'));
    symlinkSync(BASH, join(this.bin, 'bash'));
    // Whoever uses the fakes outside of a test, or for several tests, calls it.
    if (TestRunner.getCurrentTest() !== undefined) onTestFinished(() => this.verify());
  }

  /** Adds a program, in place of one with that name; the first case that fits a call answers it. */
  add(name: string, cases: readonly FakeCase[]): this {
    const arms = cases.map(({ args, script }) => {
      const lead = args.map((word) => `${bashQuote(word)}$'\\x1f'`).join('');
      return `  ${lead}*)\n${script}\n  ;;`;
    });
    const text = `#!${BASH}
n=0
until (set -o noclobber; : > ${bashQuote(join(this.directory, 'calls'))}/$n) 2>/dev/null; do
  [[ -d ${bashQuote(join(this.directory, 'calls'))} ]] || exit 98 # The test is over and its directory gone.
  n=$((n + 1))
done
FAKE_CALL=${bashQuote(join(this.directory, 'calls'))}/$n
printf '%s\\0' ${bashQuote(name)} "$PWD" "$(ulimit -Sn)" "$@" > "$FAKE_CALL.args"
declare -px > "$FAKE_CALL.env"
: > "$FAKE_CALL.logged"
line=
for word in "$@"; do line+=$word$'\\x1f'; done
case $line in
${arms.join('\n')}
  *)
  printf '%s\\n' ${bashQuote(name)}" $*" >> ${bashQuote(join(this.directory, 'unexpected'))}
  echo "fake ${name}: unexpected call: $*" >&2
  exit 97
  ;;
esac
`;
    writeFileSync(join(this.bin, name), text, { mode: 0o755 });
    return this;
  }

  /** A program that is there and answers every call with success and nothing. */
  addSilent(...names: readonly string[]): this {
    for (const name of names) this.add(name, [{ args: [], script: ':' }]);
    return this;
  }

  /** A clean environment in which only the fakes are found. */
  env(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
    return { PATH: this.bin, HOME: join(this.directory, 'home'), USER: 'dev', ...extra };
  }

  /** The calls in the order in which they began; one whose log is still being written comes later. */
  calls(): FakeCall[] {
    const calls: FakeCall[] = [];
    for (let n = 0; existsSync(join(this.directory, 'calls', String(n))); n++) {
      const path = join(this.directory, 'calls', String(n));
      if (!existsSync(`${path}.logged`)) continue;
      const [tool = '', cwd = '', softLimit = '', ...args] = readFileSync(`${path}.args`, 'utf8')
        .split('\0')
        .slice(0, -1);
      calls.push({ tool, cwd, softLimit, args, env: parseDeclarations(readFileSync(`${path}.env`, 'utf8')) });
    }
    return calls;
  }

  /** The calls as lines: `cargo zigbuild --release`. */
  lines(): string[] {
    return this.calls().map(({ tool, args }) => [tool, ...args].join(' '));
  }

  /** @throws Error when a fake met a call that it did not expect */
  verify(): void {
    const path = join(this.directory, 'unexpected');
    if (existsSync(path)) throw new Error(`unexpected calls of fake tools:\n${readFileSync(path, 'utf8')}`);
  }
}

/** The variables of `declare -px`, which writes `declare -x NAME="value"` with four characters escaped. */
function parseDeclarations(text: string): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [, name, quoted, ansi] of text.matchAll(
    /^declare -\S* ([A-Za-z_]\w*)=(?:"((?:[^"\\]|\\[\s\S])*)"|\$'((?:[^'\\]|\\[\s\S])*)')$/gm,
  )) {
    if (name === undefined) continue;
    env[name] = quoted !== undefined ? quoted.replaceAll(/\\([\s\S])/g, '$1') : ansiText(ansi ?? '');
  }
  return env;
}

function ansiText(text: string): string {
  const named: Record<string, string> = { n: '\n', t: '\t', r: '\r', E: '\u001b' };
  return text.replaceAll(/\\([0-7]{3}|[\s\S])/g, (_, code: string) =>
    code.length === 3 ? String.fromCharCode(Number.parseInt(code, 8)) : (named[code] ?? code),
  );
}

/** A word in single quotes, for the scripts of fakes. */
export function bashQuote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
