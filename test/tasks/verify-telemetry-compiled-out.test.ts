// SPDX-License-Identifier: Apache-2.0

/** The verifier of telemetry as a program, over what real cargo builds of the miniature. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { TELEMETRY } from '../../lib/product.ts';
import { buildElf } from '../support/elf-builder.ts';
import { makeMiniature } from '../support/miniature.ts';
import { realCheckout, requireTools } from '../support/real-tools.ts';
import { runProcess, runTaskFile } from '../support/run-task.ts';
import { temporaryDirectory } from '../support/temporary.ts';
import { BARE } from '../support/verifier-binaries.ts';

const verify = (args: readonly string[], cwd: string) =>
  runTaskFile('verify-telemetry-compiled-out', args, { cwd, env: BARE });

/** A directory with a program that has the markers, and one that does not. */
function programs(): string {
  const directory = temporaryDirectory();
  const { bytes } = buildElf({});
  writeFileSync(join(directory, 'without'), bytes);
  writeFileSync(join(directory, 'with'), Buffer.concat([bytes, Buffer.from(TELEMETRY.markers.join('\0'))]));
  writeFileSync(join(directory, 'empty'), '');
  return directory;
}

test('every file is looked at, results on stdout and reasons on stderr', async () => {
  const result = await verify(['absent', 'with', 'without', 'gone', 'empty'], programs());
  expect(result.status).toBe(1);
  expect(result.stdout).toMatch(
    /^==> Inspecting with\n==> Inspecting without\nabsent: [^\n]+\n==> Inspecting gone\n==> Inspecting empty\n$/,
  );
  expect(result.stderr.split('\n').slice(0, -1)).toEqual([
    expect.stringMatching(/^error: \/\S+\/with: has the telemetry marker 'events\.\S+', wanted none; /),
    expect.stringMatching(/^error: \/\S+\/with: has the telemetry marker '4154\S+', wanted none; /),
    expect.stringMatching(/^error: \/\S+\/gone: cannot be read: it does not exist/),
    expect.stringMatching(/^error: \/\S+\/empty: is not an ELF file: it is empty; /),
    'error: 3 of 4 files failed the check',
  ]);
});

test('the positive control', async () => {
  const cwd = programs();
  expect(await verify(['present', 'with'], cwd)).toMatchObject({ status: 0, stderr: '' });
  expect(await verify(['present', 'without'], cwd)).toMatchObject({ status: 1 });
});

test.each([[[]], [['absent']], [['gone', 'with']], [['Absent', 'with']], [['absent', '--fast', 'with']]])(
  '%j is wrong usage, status 2',
  async (args) => {
    const result = await verify(args, programs());
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(/^error: [^\n]+\n$/);
  },
);

const cargo = requireTools('cargo', 'cc');

describe('real binaries', { ...cargo.options, timeout: 120_000 }, () => {
  test('the default build has telemetry, and --no-default-features has none', async () => {
    const { root } = makeMiniature({ at: join(temporaryDirectory(), 'checkout') });
    const build = async (...args: readonly string[]) => {
      const command = ['build', '--offline', '-p', 'openshell-server', '--bin', 'openshell-gateway', ...args];
      const result = await runProcess(cargo.path('cargo'), command, { cwd: root, env: cargo.env });
      expect(result.status, result.stderr).toBe(0);
    };
    const gateway = 'target/debug/openshell-gateway';
    await build();
    expect(await verify(['present', gateway], root)).toMatchObject({ status: 0, stderr: '' });
    expect((await verify(['absent', gateway], root)).status).toBe(1);
    await build('--no-default-features');
    expect(await verify(['absent', gateway], root)).toMatchObject({ status: 0, stderr: '' });
    expect((await verify(['present', gateway], root)).status).toBe(1);
  });
});

const checkout = realCheckout.path;

describe('a real checkout', realCheckout.options, () => {
  test('its source has the markers', () => {
    const source = readFileSync(join(checkout, TELEMETRY.source), 'utf8');
    for (const marker of TELEMETRY.markers) expect(source).toContain(marker);
  });
});
