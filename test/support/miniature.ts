// SPDX-License-Identifier: Apache-2.0

/**
 * Copies of the miniature OpenShell workspace, on which a test can build, stage and edit as it likes.
 *
 * A copy can be made wide: the supervisor then depends on that many generated crates, and its last link opens as many
 * files at once as that of the real supervisor does. They are third-party crates to cargo (a vendored source in the
 * place of crates.io), because it treats those differently from members: they keep their identity when the workspace is
 * built from another place or under another version, and so are not built again.
 */

import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const FIXTURE = resolve(import.meta.dirname, '../fixtures/openshell');

/** What a build or a run leaves in a workspace: never part of a copy. */
const NOT_COPIED = ['target', '.cache', join('deploy', 'docker', '.build')];

const WIDEST = 9999;
const CRATE_VERSION = '1.0.0';
const CRATES_IO = 'registry+https://github.com/rust-lang/crates.io-index';

/** Where the parts of a copy are; every path is absolute. */
export interface Miniature {
  readonly root: string;
  /** The workspace's `Cargo.toml`. */
  readonly manifest: string;
  readonly lockfile: string;
  /** Touch it to make cargo link the supervisor again. */
  readonly supervisorMain: string;
  /** The directory of staged binaries, which staging makes. */
  readonly staged: string;
  /** The names of the generated crates, as they are in `Cargo.toml`. */
  readonly wideCrates: readonly string[];
}

/**
 * Copies the miniature to the directory `at` (made if it is not there, and empty otherwise). `width` is the number of
 * generated crates that the supervisor links, 0 to 9999; without it there are none. Needs neither cargo nor a network.
 * @throws Error when the directory is not empty, `width` is out of range, or the fixture is not as expected
 */
export function makeMiniature({ at, width = 0 }: { at: string; width?: number }): Miniature {
  if (!Number.isInteger(width) || width < 0 || width > WIDEST) {
    throw new RangeError(`the width of a miniature is a whole number from 0 to ${WIDEST}, not ${width}`);
  }
  const root = resolve(at);
  if (existsSync(root) && readdirSync(root).length > 0) throw new Error(`${root} is not empty`);
  cpSync(FIXTURE, root, { recursive: true, filter: (from) => !NOT_COPIED.includes(relative(FIXTURE, from)) });

  const crates = Array.from({ length: width }, (_, index) => wideCrate(index + 1));
  if (width > 0) widen(root, crates);
  return {
    root,
    manifest: join(root, 'Cargo.toml'),
    lockfile: join(root, 'Cargo.lock'),
    supervisorMain: join(root, 'crates/openshell-sandbox/src/main.rs'),
    staged: join(root, 'deploy/docker/.build/prebuilt-binaries'),
    wideCrates: crates.map((crate) => crate.name),
  };
}

/** A generated crate: its files by their path, and the checksum that stands for the package. */
interface Crate {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  readonly checksum: string;
}

function wideCrate(number: number): Crate {
  const name = `wide-${String(number).padStart(4, '0')}`;
  const files = {
    'Cargo.toml': `[package]\nname = "${name}"\nversion = "${CRATE_VERSION}"\nedition = "2021"\n`,
    // A function that is inlined would leave nothing in the crate for the linker to fetch.
    'src/lib.rs': `#[inline(never)]\npub fn number() -> u64 {\n    ${number}\n}\n`,
  };
  return { name, files, checksum: sha256(Object.values(files).join('')) };
}

function widen(root: string, crates: readonly Crate[]): void {
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  const edit = (path: string, change: (text: string) => string) => {
    const before = readFileSync(join(root, path), 'utf8');
    const after = change(before);
    if (after === before) throw new Error(`the miniature's ${path} does not have the place for the generated crates`);
    writeFileSync(join(root, path), after);
  };
  for (const crate of crates) {
    for (const [path, text] of Object.entries(crate.files)) write(`vendor/${crate.name}/${path}`, text);
    write(`vendor/${crate.name}/.cargo-checksum.json`, checksumFile(crate));
  }
  write('.cargo/config.toml', SOURCE_REPLACEMENT);
  write('crates/openshell-sandbox/src/wide.rs', wideModule(crates));
  const dependencies = crates.map((crate) => `${crate.name} = "${CRATE_VERSION}"\n`).join('');
  edit('crates/openshell-sandbox/Cargo.toml', (text) =>
    text.replace('\n[dependencies]\n', `\n[dependencies]\n${dependencies}`),
  );
  edit('Cargo.lock', (text) => lockWith(text, crates));
}

/** The files are looked up next to the config's own directory, so the copy can be moved. */
const SOURCE_REPLACEMENT = `# SPDX-License-Identifier: Apache-2.0

[source.crates-io]
replace-with = "vendored-sources"

[source.vendored-sources]
directory = "vendor"
`;

/** The list of checksums that cargo wants in each crate of a directory source; without it cargo refuses the crate. */
function checksumFile(crate: Crate): string {
  const files = Object.fromEntries(Object.entries(crate.files).map(([path, text]) => [path, sha256(text)]));
  return JSON.stringify({ files, package: crate.checksum });
}

/** The module that takes the place of the fixture's empty one: it calls every crate. */
function wideModule(crates: readonly Crate[]): string {
  const calls = crates.map((crate) => `        ${crate.name.replace('-', '_')}::number,\n`).join('');
  return `// SPDX-License-Identifier: Apache-2.0

//! Generated: a call of every generated crate.

pub const WIDTH: u64 = ${crates.length};

#[must_use]
pub fn sum() -> u64 {
    let numbers: [fn() -> u64; ${crates.length}] = [
${calls}    ];
    numbers.iter().map(|number| number()).sum()
}
`;
}

/**
 * The lock file with the crates, in the very form that cargo writes: packages and dependencies sorted by name, a
 * checksum for each crate from a registry. In any other form `--locked` would refuse it.
 */
function lockWith(lock: string, crates: readonly Crate[]): string {
  const [head = '', ...members] = lock.trimEnd().split('\n\n');
  const names = crates.map((crate) => ` "${crate.name}",\n`).join('');
  const packages = [
    ...members.map((block) =>
      block.includes('\nname = "openshell-sandbox"\n') ? block.replace(/\n\]$/, `\n${names}]`) : block,
    ),
    ...crates.map((crate) =>
      [
        '[[package]]',
        `name = "${crate.name}"`,
        `version = "${CRATE_VERSION}"`,
        `source = "${CRATES_IO}"`,
        `checksum = "${crate.checksum}"`,
      ].join('\n'),
    ),
  ];
  return `${[head, ...packages.sort()].join('\n\n')}\n`;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
