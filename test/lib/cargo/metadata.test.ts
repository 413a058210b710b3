// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import type { Toolchain } from '../../../lib/cargo/find-toolchain.ts';
import {
  featuresByComponent,
  featuresFor,
  parseMetadata,
  readCargoMessages,
  readWorkspace,
  splitFeatures,
} from '../../../lib/cargo/metadata.ts';
import { COMPONENTS } from '../../../lib/product.ts';
import { bashQuote } from '../../support/fake-tools.ts';
import { fakeTools, inProcess } from '../../support/in-process.ts';
import { refusalFrom, refusalOf } from '../../support/task-errors.ts';

const METADATA = JSON.stringify({
  target_directory: '/checkout/target',
  packages: [
    {
      name: 'openshell-server',
      features: { default: [], 'bundled-z3': ['z3/bundled'], both: [] },
      dependencies: [
        { name: 'openshell-core', rename: null },
        { name: 'z3', rename: null },
        { name: 'tokio', rename: 'runtime' },
      ],
    },
    { name: 'openshell-core' },
  ],
});

describe('what cargo metadata prints', () => {
  test('the target directory, and the packages with their features and dependencies', () => {
    const workspace = parseMetadata(METADATA);
    expect(workspace).toEqual({
      targetDirectory: '/checkout/target',
      packages: [
        {
          name: 'openshell-server',
          features: new Set(['default', 'bundled-z3', 'both']),
          dependencies: new Set(['openshell-core', 'z3', 'runtime']),
        },
        { name: 'openshell-core', features: new Set(), dependencies: new Set() },
      ],
    });
    expect(parseMetadata(`mise says something first\n${METADATA}\n`)).toEqual(workspace);
  });

  test.each([
    '',
    'null',
    '[null]',
    '{}',
    '<html>',
    METADATA.slice(0, -2),
    '{"target_directory": 1, "packages": []}',
    '{"target_directory": "/t"}',
    '{"target_directory": "/t", "packages": {}}',
    '{"target_directory": "/t", "packages": [null]}',
    '{"target_directory": "/t", "packages": ["x"]}',
    '{"target_directory": "/t", "packages": [{}]}',
    '{"target_directory": "/t", "packages": [{"name": 1}]}',
    '{"target_directory": "/t", "packages": [{"name": "a", "features": null}]}',
    '{"target_directory": "/t", "packages": [{"name": "a", "features": ["b"]}]}',
    '{"target_directory": "/t", "packages": [{"name": "a", "dependencies": null}]}',
    '{"target_directory": "/t", "packages": [{"name": "a", "dependencies": {"b": 1}}]}',
    '{"target_directory": "/t", "packages": [{"name": "a", "dependencies": [null]}]}',
    '{"target_directory": "/t", "packages": [{"name": "a", "dependencies": [{"rename": 2, "name": "b"}]}]}',
    `${METADATA} and more`,
  ])('F16: %j is not metadata: one line that says so', (text) => {
    expect(refusalOf(() => parseMetadata(text))).toMatch(
      /^1: cargo metadata printed '[^\n]*', which is not the metadata of a workspace; check: cargo --version$/,
    );
  });
});

describe('reading the workspace', () => {
  const toolchain = { env: { RUSTC_WRAPPER: 'sccache', CARGO_TARGET_DIR: '/of/mise' } } as unknown as Toolchain;

  test("in the checkout, with what the tool chain sets; the user's target directory wins", async () => {
    const tools = fakeTools().add('cargo', [
      {
        args: ['metadata', '--format-version', '1', '--no-deps'],
        script: `printf '%s\\n' ${bashQuote(METADATA)}`,
      },
    ]);
    const { runner } = inProcess(tools);
    const workspace = await readWorkspace(runner, toolchain, tools.directory, '/of/user');
    expect(workspace).toEqual(parseMetadata(METADATA));
    expect(tools.calls()).toMatchObject([
      { cwd: tools.directory, env: { RUSTC_WRAPPER: 'sccache', CARGO_TARGET_DIR: '/of/user' } },
    ]);
  });

  test("a cargo that fails: its own status, and it says why on the terminal's stderr", async () => {
    const tools = fakeTools().add('cargo', [{ args: ['metadata'], script: 'exit 101' }]);
    const { runner } = inProcess(tools);
    const reading = () => readWorkspace(runner, toolchain, tools.directory, undefined);
    expect(await refusalFrom(reading)).toBe(
      `101: cargo metadata --format-version 1 --no-deps failed with status 101 in ${tools.directory}`,
    );
  });
});

describe('splitting', () => {
  test.each([
    [undefined, []],
    ['', []],
    [' , ,\t\n', []],
    ['a', ['a']],
    ['a b', ['a', 'b']],
    ['a,b', ['a', 'b']],
    [' a, b\tc\n,d ', ['a', 'b', 'c', 'd']],
    ['a b a,a', ['a', 'b']],
    ['core/telemetry dep?/x', ['core/telemetry', 'dep?/x']],
  ])('%j', (text, features) => {
    expect(splitFeatures(text)).toEqual(features);
  });
});

const { packages } = parseMetadata(
  JSON.stringify({
    target_directory: '/checkout/target',
    packages: [
      {
        name: 'openshell-server',
        features: { default: [], 'bundled-z3': ['z3/bundled'], both: [] },
        dependencies: [
          { name: 'openshell-core', rename: null },
          { name: 'z3', rename: null },
          { name: 'tokio', rename: 'runtime' },
        ],
      },
      { name: 'openshell-sandbox', features: { both: [], seccomp: [] }, dependencies: [] },
      { name: 'openshell-core', features: { telemetry: [] }, dependencies: [] },
    ],
  }),
);

describe('features go to the components that declare them (fault H31)', () => {
  const both = [COMPONENTS.gateway, COMPONENTS.supervisor];
  const given = (features: string[], components: readonly (typeof both)[number][] = both) =>
    Object.fromEntries(featuresByComponent(features, components, packages));

  test.each([
    [[], { gateway: [], supervisor: [] }],
    [['bundled-z3'], { gateway: ['bundled-z3'], supervisor: [] }],
    [['seccomp', 'both', 'bundled-z3'], { gateway: ['both', 'bundled-z3'], supervisor: ['seccomp', 'both'] }],
    [['openshell-core/telemetry'], { gateway: ['openshell-core/telemetry'], supervisor: [] }],
    [['openshell-core?/telemetry'], { gateway: ['openshell-core?/telemetry'], supervisor: [] }],
    [['z3/anything-outside-the-workspace'], { gateway: ['z3/anything-outside-the-workspace'], supervisor: [] }],
    [['runtime/full'], { gateway: ['runtime/full'], supervisor: [] }],
    [['openshell-sandbox/seccomp'], { gateway: [], supervisor: ['openshell-sandbox/seccomp'] }],
  ])('%j', (features, expected) => {
    expect(given(features)).toEqual(expected);
  });

  test('only the components of the run count', () => {
    expect(given(['bundled-z3'], [COMPONENTS.gateway])).toEqual({ gateway: ['bundled-z3'] });
    expect(refusalOf(() => given(['bundled-z3'], [COMPONENTS.supervisor]))).toBe(
      "2: EXTRA_CARGO_FEATURES has 'bundled-z3', which is no feature of openshell-sandbox; " +
        'allowed are both, seccomp; change it or unset it',
    );
  });

  test.each(['nope', 'tokio/full', 'openshell-server/seccomp', '/x', 'x/', '__proto__', 'Both'])(
    '%j is declared by none',
    (feature) => {
      expect(refusalOf(() => given(['both', feature]))).toBe(
        `2: EXTRA_CARGO_FEATURES has '${feature}', which is no feature of openshell-server and openshell-sandbox; ` +
          'allowed are both, bundled-z3, default, seccomp; change it or unset it',
      );
    },
  );

  test('a workspace without the packages declares nothing', () => {
    expect(refusalOf(() => featuresByComponent(['a'], [COMPONENTS.gateway], []))).toBe(
      "2: EXTRA_CARGO_FEATURES has 'a', which is no feature of openshell-server; allowed are none; change it or unset it",
    );
  });

  test('several components that are built together get each feature once', () => {
    const features = featuresByComponent(['both', 'seccomp', 'bundled-z3'], both, packages);
    expect(featuresFor(features, both)).toEqual(['both', 'bundled-z3', 'seccomp']);
    expect(featuresFor(features, [COMPONENTS.supervisor])).toEqual(['both', 'seccomp']);
    expect(featuresFor(features, [])).toEqual([]);
    expect(featuresFor(new Map(), both)).toEqual([]);
  });
});

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
