// SPDX-License-Identifier: Apache-2.0

/** What users set for cargo, and which Rust they have: real cargo, rustc and rustup, on the miniature. */

import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeMiniature } from '../support/miniature.ts';
import { onlyLinuxAmd64, requireTools } from '../support/real-tools.ts';
import { runProcess, SUITE_ROOT } from '../support/run-task.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const BUILD_TIMEOUT_MS = 120_000;
const MUSL = 'x86_64-unknown-linux-musl';
const GNU = 'x86_64-unknown-linux-gnu';

const rust = requireTools('cargo', 'rustup', 'zigbuild', 'gnu-x86_64', 'musl-x86_64');
const glibc = requireTools('cargo', 'gnu-x86_64', 'glibc-static');

function checkoutFor(tools: typeof rust) {
  const root = join(temporaryDirectory(), 'checkout');
  const miniature = makeMiniature({ at: root });
  const stage = (extra: Readonly<Record<string, string>>) =>
    runProcess(process.execPath, [join(SUITE_ROOT, 'tasks/stage.ts'), 'supervisor'], {
      cwd: root,
      env: { ...tools.env, OPENSHELL_ROOT: root, PREBUILT_ARCH: 'amd64', ...extra },
    });
  const configure = (text: string) => {
    mkdirSync(join(root, '.cargo'), { recursive: true });
    writeFileSync(join(root, '.cargo/config.toml'), text);
  };
  return { ...miniature, stage, configure };
}

/** The `bin` of a Rust that is not rustup's and has this machine's target alone: the real one with another sysroot. */
function otherRust(own: string): string {
  const directory = temporaryDirectory();
  const sysroot = join(directory, 'sysroot');
  const bin = join(directory, 'bin');
  for (const made of [join(sysroot, 'lib/rustlib'), bin]) mkdirSync(made, { recursive: true });
  symlinkSync(join(dirname(own), '../lib/rustlib', GNU), join(sysroot, 'lib/rustlib', GNU));
  writeFileSync(join(bin, 'rustc'), `#!/bin/sh\nexec '${own}' --sysroot '${sysroot}' "$@"\n`, { mode: 0o755 });
  symlinkSync(join(dirname(own), 'cargo'), join(bin, 'cargo'));
  return bin;
}

describe("a Rust that is not rustup's", onlyLinuxAmd64(rust.options), () => {
  const rustup = () => execFileSync('rustup', ['which', 'rustc'], { env: rust.env, encoding: 'utf8' }).trim();

  test.each([
    [
      'first on PATH',
      (bin: string) => ({ PATH: `${bin}:${rust.env.PATH}` }),
      /: put \/[^;]+ first on PATH, without RUSTC and build\.rustc, or /,
    ],
    [
      'by RUSTC',
      (bin: string) => ({ RUSTC: join(bin, 'rustc') }),
      /: put \/[^;]+ first on PATH, without RUSTC and build\.rustc, or /,
    ],
    [
      'with a direct cargo and RUSTUP_TOOLCHAIN',
      (bin: string) => ({ PATH: `${bin}:${rust.env.PATH}`, RUSTUP_TOOLCHAIN: dirname(dirname(rustup())) }),
      /: put \/[^;]+ first on PATH, without RUSTC and build\.rustc, or /,
    ],
  ])('R12: %s, without the target that rustup has', async (_, extra, remedy) => {
    const own = rustup();
    const bin = otherRust(own);
    const result = await checkoutFor(rust).stage(extra(bin));
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(/^error: [^\n]+\n$/);
    const lacks = `${bin}/rustc, which cargo compiles with, does not have the Rust target ${MUSL}`;
    expect(result.stderr).toContain(`error: ${lacks}; rustup's is ${own}: put `);
    expect(result.stderr).toMatch(remedy);
  });

  test(
    'P4: with a rustup that fails, which that Rust does not need',
    async () => {
      const directory = temporaryDirectory();
      writeFileSync(join(directory, 'rustup'), '#!/bin/sh\necho broken >&2\nexit 1\n', { mode: 0o755 });
      const PATH = `${directory}:${dirname(rustup())}:${rust.env.PATH}`;
      expect((await checkoutFor(rust).stage({ PATH })).status).toBe(0);
    },
    BUILD_TIMEOUT_MS,
  );
});

describe('a stamped version', onlyLinuxAmd64(rust.options), () => {
  test(
    'AH-2: is built with the configuration of the checkout and above it',
    async () => {
      const { configure, root, stage, supervisorMain } = checkoutFor(rust);
      mkdirSync(join(dirname(root), '.cargo'));
      writeFileSync(join(dirname(root), '.cargo/config.toml'), '[env]\nFROM_ABOVE = "yes"\n');
      const uses = '#[cfg(not(seen_flags))]\ncompile_error!("other flags");\n';
      appendFileSync(supervisorMain, `\n${uses}const _: &str = env!("FROM_ABOVE");\n`);
      configure('[build]\nrustflags = ["--cfg", "seen_flags"]\n');
      symlinkSync(temporaryDirectory(), join(root, 'target'));
      const result = await stage({ OPENSHELL_CARGO_VERSION: '1.2.3' });
      expect(result.stderr).not.toMatch(/other flags|FROM_ABOVE/);
      expect(result.status).toBe(0);
    },
    BUILD_TIMEOUT_MS,
  );
});

describe('flags for rustc, with SUPERVISOR_LIBC=glibc-static', onlyLinuxAmd64(glibc.options), () => {
  const FLAG = '["--cfg", "seen_flags"]';

  test.each([
    ['[build]', `[build]\nrustflags = ${FLAG}`, {}],
    ['[target.<triple>], as a text', `[target.${GNU}]\nrustflags = "--cfg seen_flags"`, {}],
    ["[target.'cfg(…)']", `[target.'cfg(target_os = "linux")']\nrustflags = ${FLAG}`, {}],
    ['CARGO_BUILD_RUSTFLAGS', '', { CARGO_BUILD_RUSTFLAGS: '--cfg seen_flags' }],
    ['CARGO_TARGET_<TRIPLE>_RUSTFLAGS', '', { CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS: '--cfg seen_flags' }],
    // To cargo these variables win over its files; an empty one, too.
    ['RUSTFLAGS', `[build]\nrustflags = ["--cfg", "not_seen"]`, { RUSTFLAGS: '--cfg seen_flags' }],
    ['CARGO_ENCODED_RUSTFLAGS', '', { CARGO_ENCODED_RUSTFLAGS: '--cfg\u001fseen_flags' }],
  ])(
    'R9: %s counts',
    async (_, file, extra) => {
      const { configure, stage, supervisorMain } = checkoutFor(glibc);
      appendFileSync(supervisorMain, '\n#[cfg(any(not(seen_flags), not_seen))]\ncompile_error!("other flags");\n');
      configure(file);
      const result = await stage({ SUPERVISOR_LIBC: 'glibc-static', ...extra });
      expect(result.stderr).not.toContain('other flags');
      expect(result.stderr).toMatch(/x86-64, complete, static/);
      expect(result.status).toBe(0);
    },
    BUILD_TIMEOUT_MS,
  );
});
