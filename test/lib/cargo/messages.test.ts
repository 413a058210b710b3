// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { readCargoMessages } from '../../../lib/cargo/messages.ts';

interface Target {
  name: string;
  kind?: string[];
}

/** A message as cargo writes it, with the fields around the ones that count. */
function artifact(target: Target, executable: string | null, fresh = false): string {
  return JSON.stringify({
    reason: 'compiler-artifact',
    package_id: `path+file:///checkout/crates/${target.name}#0.0.0`,
    manifest_path: `/checkout/crates/${target.name}/Cargo.toml`,
    target: { kind: ['bin'], crate_types: target.kind ?? ['bin'], src_path: '/x/main.rs', edition: '2024', ...target },
    profile: { opt_level: '3', debuginfo: 0, debug_assertions: false, overflow_checks: false, test: false },
    features: [],
    filenames: executable === null ? ['/checkout/target/release/libx.rlib'] : [executable],
    executable,
    fresh,
  });
}

const library = (name: string, fresh = false) => artifact({ name, kind: ['lib'] }, null, fresh);
const finished = (success: boolean) => JSON.stringify({ reason: 'build-finished', success });
const script = JSON.stringify({ reason: 'build-script-executed', package_id: 'z3-sys', linked_libs: ['static=z3'] });

test('the executable of the wanted binary, and how many crates were compiled', () => {
  const stdout = [
    library('serde'),
    library('tokio', true),
    script,
    artifact({ name: 'build-script-build', kind: ['custom-build'] }, null, true),
    artifact({ name: 'openshell-sandbox' }, '/t/release/openshell-sandbox'),
    finished(true),
    '',
  ].join('\n');
  const report = readCargoMessages(stdout);
  expect(report.executablesOf('openshell-sandbox')).toEqual(['/t/release/openshell-sandbox']);
  expect(report.executablesOf('openshell-gateway')).toEqual([]);
  expect(report).toMatchObject({ compiled: 2, total: 4 });
});

test('one for each target, in the order of cargo', () => {
  const stdout = ['x86_64-unknown-linux-musl', 'aarch64-unknown-linux-musl']
    .map((triple) => `${artifact({ name: 'openshell-sandbox' }, `/t/${triple}/release/openshell-sandbox`)}\n`)
    .join('');
  expect(readCargoMessages(stdout).executablesOf('openshell-sandbox')).toEqual([
    '/t/x86_64-unknown-linux-musl/release/openshell-sandbox',
    '/t/aarch64-unknown-linux-musl/release/openshell-sandbox',
  ]);
});

test('other binaries, libraries and examples of the same name, and lines without an executable are not it', () => {
  const stdout = [
    artifact({ name: 'openshell-gateway' }, '/t/release/openshell-gateway'),
    artifact({ name: 'openshell-sandbox', kind: ['example'] }, '/t/release/examples/openshell-sandbox'),
    artifact({ name: 'openshell-sandbox', kind: ['lib'] }, null),
    artifact({ name: 'openshell-sandbox' }, null),
    JSON.stringify({
      reason: 'compiler-message',
      target: { name: 'openshell-sandbox', kind: ['bin'] },
      executable: '/no',
    }),
    JSON.stringify({ reason: 'compiler-artifact', target: null, executable: '/no' }),
    JSON.stringify({ reason: 'compiler-artifact', executable: '/no' }),
  ].join('\n');
  expect(readCargoMessages(stdout).executablesOf('openshell-sandbox')).toEqual([]);
});

test('noise between the messages is passed over, odd paths are not', () => {
  const odd = '/t/a b/"quoted"/ä\n/openshell-sandbox';
  const stdout = [
    'mise  installing something {',
    '{ not json',
    '{}',
    '[]',
    'null',
    '',
    ` ${artifact({ name: 'openshell-sandbox' }, '/indented')}`,
    `${artifact({ name: 'openshell-sandbox' }, odd)}\r`,
    '{"reason":"compiler-artifact","target":{"name":"openshell-sandbox","kind":["bin"],"executable":"/cut off',
  ].join('\n');
  const report = readCargoMessages(stdout);
  expect(report.executablesOf('openshell-sandbox')).toEqual([odd]);
  expect(report).toMatchObject({ compiled: 1, total: 1 });
});

test('F16: messages with wrong types are passed over', () => {
  const name = 'openshell-sandbox';
  const wrong = [
    { target: 3, executable: '/no' },
    { target: [null], executable: '/no' },
    { target: { name }, executable: '/no' },
    { target: { name, kind: null }, executable: '/no' },
    { target: { name, kind: 7 }, executable: '/no' },
    { target: { name, kind: { bin: true } }, executable: '/no' },
    { target: { name, kind: ['bin'] }, executable: 7 },
    { target: { name: [name], kind: ['bin'] }, executable: '/no' },
  ].map((message) => JSON.stringify({ reason: 'compiler-artifact', fresh: 'no', ...message }));
  const report = readCargoMessages(['{"reason":7}', '{"reason":null}', ...wrong].join('\n'));
  expect(report.executablesOf(name)).toEqual([]);
  expect(report.compiled).toBe(0);
});

test('nothing said, nothing made', () => {
  const report = readCargoMessages('');
  expect(report.executablesOf('openshell-sandbox')).toEqual([]);
  expect(report).toMatchObject({ compiled: 0, total: 0 });
});
