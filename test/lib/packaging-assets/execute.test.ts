// SPDX-License-Identifier: Apache-2.0

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { unitReasons } from '../../../lib/packaging-assets/execute.ts';
import { CERTIFICATES, ENVIRONMENT, specWith, UNIT } from '../../support/packaging-assets.ts';
import { requireTools } from '../../support/real-tools.ts';
import { runProcess } from '../../support/run-task.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const lacks = (line: string) => `lacks this line in its section [Service]: ${line}`;
const stale = (line: string) => `has %S/openshell/tls in '${line}'; use %h/.local/state instead of %S`;

/** The unit with one text in the place of another. */
const unit = (from: string, to: string) => {
  if (!UNIT.includes(from)) throw new Error(`the unit has no ${from}`);
  return UNIT.replace(from, () => to);
};

const systemd = requireTools('systemd-analyze');

/** What systemd says of a unit whose program exists. */
async function verify(text: string): Promise<string> {
  const directory = temporaryDirectory();
  mkdirSync(join(directory, 'run'));
  writeFileSync(join(directory, 'gateway.service'), text.replaceAll(/\/usr\/bin\/openshell-gateway/g, '/bin/true'));
  const args = ['verify', '--user', '--man=no', './gateway.service'];
  const env = { ...systemd.env, HOME: directory, XDG_RUNTIME_DIR: join(directory, 'run') };
  const { status, stderr } = await runProcess(systemd.path('systemd-analyze'), args, { cwd: directory, env });
  return `${status} ${stderr}`;
}

describe.each<[string, string]>([
  ['as it is', UNIT],
  ['with blanks', unit(ENVIRONMENT, ` ${ENVIRONMENT} `)],
  ['after another command', unit(CERTIFICATES, `ExecStartPre=/bin/sh -c 'test -f "x"'\n${CERTIFICATES}`)],
  ['after a section that is empty', unit('[Service]', '[Service]\n[Install]\n[Service]')],
  ['with what is stale in a comment', unit('Type=exec', '# no longer %S/openshell/tls')],
])('a unit that says what it has to, %s', (_, text) => {
  test('passes, in a file of its own and in a spec', () => {
    expect(unitReasons(text, '%')).toEqual([]);
    expect(unitReasons(text.replaceAll('%', '%%'), '%%')).toEqual([]);
    expect(unitReasons(specWith(text), '%%')).toEqual([]);
  });

  test('is right for systemd, too', systemd.options, async () => {
    expect(await verify(text)).toBe('0 ');
  });
});

describe('SHL-2: a text that is somewhere in the file is not enough', () => {
  test.each<[string, string, readonly string[]]>([
    ['in a comment', unit(ENVIRONMENT, `# ${ENVIRONMENT}`), [lacks(ENVIRONMENT)]],
    [
      'in another section',
      `[Unit]\n${ENVIRONMENT}\n${CERTIFICATES}\n[Service]\n[X]\n${CERTIFICATES}`,
      [lacks(ENVIRONMENT), lacks(CERTIFICATES)],
    ],
    ['with more after it', unit(ENVIRONMENT, `${ENVIRONMENT}/more`), [lacks(ENVIRONMENT)]],
    ['another host', unit('host.openshell.internal', 'host.openshell.internal.example'), [lacks(CERTIFICATES)]],
    ['whose failure is ignored', unit('ExecStartPre=/', 'ExecStartPre=-/'), [lacks(CERTIFICATES)]],
    ['under another key', unit('ExecStartPre=/', 'ExecStartPost=/'), [lacks(CERTIFICATES)]],
    ['an empty unit', '', [lacks(ENVIRONMENT), lacks(CERTIFICATES)]],
    [
      'stale beside it',
      unit(ENVIRONMENT, `Environment=D=%S/openshell/tls\n${ENVIRONMENT}`),
      [stale('Environment=D=%S/openshell/tls')],
    ],
  ])('%s', (_, text, reasons) => {
    expect(unitReasons(text, '%')).toEqual(reasons);
  });

  test('a spec doubles every percent sign, or rpm takes it for a macro', () => {
    expect(unitReasons(UNIT, '%%')).toEqual([lacks(ENVIRONMENT.replace('%', '%%'))]);
    expect(unitReasons(unit('%h/.local/state', '%S').replaceAll('%', '%%'), '%%')[1]).toContain(
      'has %S/openshell/tls in',
    );
  });
});
