// SPDX-License-Identifier: Apache-2.0

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { unitReasons } from '../../../lib/packaging-assets/plan.ts';
import { CERTIFICATES, ENVIRONMENT, UNIT } from '../../support/packaging-assets.ts';
import { requireTools } from '../../support/real-tools.ts';
import { runProcess } from '../../support/run-task.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const TLS = 'OPENSHELL_LOCAL_TLS_DIR=%h/.local/state/openshell/tls';
const MISSING = `[Service] creates no certificates, wanted ${CERTIFICATES}`;
const UNSET = `[Service] sets no OPENSHELL_LOCAL_TLS_DIR, wanted ${TLS}`;
const sets = (value: string) => `[Service] sets 'OPENSHELL_LOCAL_TLS_DIR=${value}', wanted ${TLS}`;
const STALE = '[Service] has %S/openshell/tls in Environment; use %h/.local/state instead of %S';

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
  ['quoted', unit(ENVIRONMENT, `Environment="${TLS}"`)],
  ['beside other variables', unit(ENVIRONMENT, `Environment=A=b '${TLS}' "C=d e"`)],
  ['after one that it overrides', unit(ENVIRONMENT, `Environment=OPENSHELL_LOCAL_TLS_DIR=/x\n${ENVIRONMENT}`)],
  ['with blanks', unit(ENVIRONMENT, ` Environment =  ${TLS} `)],
  ['on two lines', unit('--server-san ', '\\\n  "--server-san"   ')],
  ['after another command', unit(CERTIFICATES, `ExecStartPre=/bin/sh -c 'test -f "x"'\n${CERTIFICATES}`)],
  ['with what is stale in a comment', unit('Type=exec', '# no longer %S/openshell/tls')],
])('a unit that says what it has to, %s', (_, text) => {
  test('passes, in a file of its own and in a spec', () => {
    expect(unitReasons(text, '%')).toEqual([]);
    expect(unitReasons(text.replaceAll('%', '%%'), '%%')).toEqual([]);
  });

  test('is right for systemd, too', systemd.options, async () => {
    expect(await verify(text)).toBe('0 ');
  });
});

describe('SHL-2: a text that is somewhere in the file is not enough', () => {
  test.each<[string, string, readonly string[]]>([
    ['in a comment', unit(ENVIRONMENT, `# ${ENVIRONMENT}`), [UNSET]],
    ['in another section', `[Unit]\n${ENVIRONMENT}\n${CERTIFICATES}\n[Service]\n`, [UNSET, MISSING]],
    ['taken back', unit('ExecStart=', 'Environment=\nExecStartPre=\nExecStart='), [UNSET, MISSING]],
    ['overridden', unit('ExecStart=/', 'Environment=OPENSHELL_LOCAL_TLS_DIR=/x\nExecStart=/'), [sets('/x')]],
    ['with more after it', unit(ENVIRONMENT, `${ENVIRONMENT}/more`), [sets('%h/.local/state/openshell/tls/more')]],
    ['in the name of another', unit(ENVIRONMENT, `Environment=X_${TLS}`), [UNSET]],
    ['another host', unit('host.openshell.internal', 'host.openshell.internal.example'), [MISSING]],
    ['whose failure is ignored', unit('ExecStartPre=/', 'ExecStartPre=-/'), [MISSING]],
    ['under another key', unit('ExecStartPre=/', 'ExecStartPost=/'), [MISSING]],
    ['an empty unit', '', [UNSET, MISSING]],
    ['stale, and overridden', unit(ENVIRONMENT, `Environment=D=%S/openshell/tls\n${ENVIRONMENT}`), [STALE]],
    ['stale', unit('%h/.local/state', '%S'), [sets('%S/openshell/tls'), STALE]],
  ])('%s', (_, text, reasons) => {
    expect(unitReasons(text, '%')).toEqual(reasons);
  });

  test('a spec doubles every percent sign, or rpm takes it for a macro', () => {
    const wanted = TLS.replace('%', '%%');
    expect(unitReasons(UNIT, '%%')).toEqual([
      `[Service] sets 'OPENSHELL_LOCAL_TLS_DIR=%h/.local/state/openshell/tls', wanted ${wanted}`,
    ]);
    const stale = unit('%h/.local/state', '%S').replaceAll('%', '%%');
    expect(unitReasons(stale, '%%')[1]).toContain('has %S/openshell/tls in Environment; use %h');
  });

  test('a quote that is not closed', () => {
    expect(() => unitReasons(unit(CERTIFICATES, `ExecStartPre="x\n${CERTIFICATES}`), '%')).toThrow(
      /^ExecStartPre is '"x', which has a quote that is not closed; close it$/,
    );
  });
});
