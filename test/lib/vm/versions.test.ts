// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Environment } from '../../../lib/cli/env.ts';
import type { VersionName } from '../../../lib/cli/variables.ts';
import { PRODUCT } from '../../../lib/product.ts';
import { readVersions } from '../../../lib/vm/versions.ts';
import { makeMiniature } from '../../support/miniature.ts';
import { refusalOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const NAMES = ['GVPROXY_VERSION', 'UMOCI_VERSION', 'LIBKRUNFW_REF', 'LIBKRUN_REF'] as const;

/** What is read from a checkout whose `pins.env` has this text. */
function versions<N extends VersionName>(text: string, names: readonly N[], env: Environment = {}) {
  const root = temporaryDirectory();
  const path = join(root, PRODUCT.vmPins);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return readVersions(env, root, names);
}

const pin = (name: string, value: string) => `${name}="\${${name}:-${value}}"\n`;

test("the real names and values: comments, images and versions; libkrun's is ours while the file has none", () => {
  const { root } = makeMiniature({ at: temporaryDirectory() });
  expect(readVersions({}, root, NAMES)).toEqual({
    GVPROXY_VERSION: 'v0.8.8',
    UMOCI_VERSION: 'v0.6.0',
    LIBKRUNFW_REF: '463f717bbdd916e1352a025b6fb2456e882b0b39',
    LIBKRUN_REF: 'v1.17.4',
  });
});

test('PIN-2: a version of libkrun in the file wins over ours, and the environment over the file', () => {
  const text = pin('LIBKRUN_REF', 'v1.18.0');
  expect(versions(text, ['LIBKRUN_REF'])).toEqual({ LIBKRUN_REF: 'v1.18.0' });
  expect(versions(text, ['LIBKRUN_REF'], { LIBKRUN_REF: 'feature/x' })).toEqual({ LIBKRUN_REF: 'feature/x' });
  expect(versions(text, ['LIBKRUN_REF'], { LIBKRUN_REF: '' })).toEqual({ LIBKRUN_REF: 'v1.18.0' });
});

describe('PIN-1, L16: a file that cannot be taken at its word is an error', () => {
  test('no file, whatever the environment says', () => {
    const env = Object.fromEntries(NAMES.map((name) => [name, 'v1']));
    expect(refusalOf(() => readVersions(env, temporaryDirectory(), NAMES))).toMatch(
      /^2: the versions of the VM runtime cannot be read; get the checkout's crates\/\S+pins\.env back: \/\S+: it does not exist/,
    );
  });

  test('a name without a version', () => {
    expect(refusalOf(() => versions('# nothing\n', ['UMOCI_VERSION']))).toMatch(
      /^2: \S+pins\.env has no UMOCI_VERSION; pin it there, or set UMOCI_VERSION$/,
    );
    expect(versions('', ['UMOCI_VERSION'], { UMOCI_VERSION: 'v0.6.0' })).toEqual({ UMOCI_VERSION: 'v0.6.0' });
  });

  test.each([
    ['no default', 'UMOCI_VERSION=v0.6.0'],
    ['no quotes', `UMOCI_VERSION=\${UMOCI_VERSION:-v0.6.0}`],
    ['another name within', `UMOCI_VERSION="\${GVPROXY_VERSION:-v0.6.0}"`],
    ['an empty version', `UMOCI_VERSION="\${UMOCI_VERSION:-}"`],
    ['a command', `UMOCI_VERSION="\${UMOCI_VERSION:-$(date)}"`],
    ['a blank', `UMOCI_VERSION="\${UMOCI_VERSION:-v0.6.0 }"`],
    ['something after it', `UMOCI_VERSION="\${UMOCI_VERSION:-v0.6.0}" # x`],
    ['not an entry', 'export UMOCI_VERSION'],
    ['a file of git that was not merged', '<<<<<<< HEAD'],
  ])('%s', (_, line) => {
    const text = `${pin('UMOCI_VERSION', 'v0.6.0').replaceAll('UMOCI', 'GVPROXY')}\n${line}\n`;
    expect(refusalOf(() => versions(text, ['GVPROXY_VERSION'], { UMOCI_VERSION: 'v1' }))).toMatch(
      /^2: line 3 of \S+pins\.env is '.+'; allowed are comments and NAME="\$\{NAME:-value\}"; fix it$/,
    );
  });
});

test.each(['-v0.6.0', '--upload-pack=x', '../v0.6.0', 'v0.6.0/', 'v 1', 'v0..6', 'a\nb', '~1', 'HEAD~1', 'x.'])(
  'a version becomes a part of a URL and an argument of git: %j is refused',
  (version) => {
    const text = pin('UMOCI_VERSION', 'v0.6.0');
    expect(refusalOf(() => versions(text, ['UMOCI_VERSION'], { UMOCI_VERSION: version }))).toMatch(
      /^2: UMOCI_VERSION is '.+'; allowed are a tag, a branch and a commit; change it or unset it$/,
    );
  },
);

test('a wrong version in the file is one of the file', () => {
  expect(refusalOf(() => versions(pin('UMOCI_VERSION', '../x'), ['UMOCI_VERSION']))).toMatch(
    /^2: UMOCI_VERSION in \S+pins\.env is '\.\.\/x'; allowed are a tag, a branch and a commit; change it or unset it$/,
  );
});

test('entries of other names do not matter', () => {
  const text = `${pin('UMOCI_SHA256_linux_amd64', 'sha256:0a1b')}${pin('UMOCI_VERSION', 'v0.6.0')}`;
  expect(versions(text, ['UMOCI_VERSION'])).toEqual({ UMOCI_VERSION: 'v0.6.0' });
});

test('line ends of Windows and blanks around an entry change no version', () => {
  const text = `\uFEFF# x\r\n  ${pin('UMOCI_VERSION', 'v0.6.0').trim()}  \r\n`;
  expect(versions(text, ['UMOCI_VERSION'])).toEqual({ UMOCI_VERSION: 'v0.6.0' });
});
