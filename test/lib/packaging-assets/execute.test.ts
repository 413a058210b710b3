// SPDX-License-Identifier: Apache-2.0

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { specReasons, unitReasons } from '../../../lib/packaging-assets/execute.ts';
import { CERTIFICATES, ENVIRONMENT, specWith, UNIT } from '../../support/packaging-assets.ts';
import { requireTools } from '../../support/real-tools.ts';
import { runProcess } from '../../support/run-task.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const MISSING = `[Service] creates no certificates, wanted ${CERTIFICATES}`;
const has = (line: string) => `[Service] has '${line}', wanted ${ENVIRONMENT}`;
const UNSET = `[Service] has no OPENSHELL_LOCAL_TLS_DIR, wanted ${ENVIRONMENT}`;
const stale = (line: string) => `[Service] has %S/openshell/tls in '${line}'; use %h/.local/state instead of %S`;

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
  ['after one that it overrides', unit(ENVIRONMENT, `Environment=OPENSHELL_LOCAL_TLS_DIR=/x\n${ENVIRONMENT}`)],
  ['with blanks', unit(ENVIRONMENT, ` ${ENVIRONMENT} `)],
  ['after another command', unit(CERTIFICATES, `ExecStartPre=/bin/sh -c 'test -f "x"'\n${CERTIFICATES}`)],
  ['with blanks around the sign', unit('ExecStartPre=', 'ExecStartPre = ')],
  ['continued on the next line', unit('generate-certs ', 'generate-certs \\\n  ')],
  ['after a section that is empty', unit('[Service]', '[Service]\n[Install]\n[Service]')],
  ['with what is stale in a comment', unit('Type=exec', '# no longer %S/openshell/tls')],
])('a unit that says what it has to, %s', (_, text) => {
  test('passes, in a file of its own and in a spec', () => {
    expect(unitReasons(text, '%')).toEqual([]);
    expect(unitReasons(text.replaceAll('%', '%%'), '%%')).toEqual([]);
    expect(specReasons(specWith(text))).toEqual([]);
  });

  test('is right for systemd, too', systemd.options, async () => {
    expect(await verify(text)).toBe('0 ');
  });
});

describe('SHL-2: a text that is somewhere in the file is not enough', () => {
  test.each<[string, string, readonly string[]]>([
    ['in a comment', unit(ENVIRONMENT, `# ${ENVIRONMENT}`), [UNSET]],
    [
      'in another section',
      `[Unit]\n${ENVIRONMENT}\n${CERTIFICATES}\n[Service]\n[X]\n${CERTIFICATES}`,
      [UNSET, MISSING],
    ],
    [
      'overridden',
      unit('ExecStart=/', 'Environment=OPENSHELL_LOCAL_TLS_DIR=/x\nExecStart=/'),
      [has('Environment=OPENSHELL_LOCAL_TLS_DIR=/x')],
    ],
    ['with more after it', unit(ENVIRONMENT, `${ENVIRONMENT}/more`), [has(`${ENVIRONMENT}/more`)]],
    ['another host', unit('host.openshell.internal', 'host.openshell.internal.example'), [MISSING]],
    ['whose failure is ignored', unit('ExecStartPre=/', 'ExecStartPre=-/'), [MISSING]],
    ['under another key', unit('ExecStartPre=/', 'ExecStartPost=/'), [MISSING]],
    ['an empty unit', '', [UNSET, MISSING]],
    ['AR-5: taken back', `${UNIT}\n[Service]\nExecStartPre=\nEnvironment=\n`, [UNSET, MISSING]],
    [
      'AR-5: overridden in a second section',
      `${UNIT}\n[Service]\nEnvironment=OPENSHELL_LOCAL_TLS_DIR=/x\n`,
      [has('Environment=OPENSHELL_LOCAL_TLS_DIR=/x')],
    ],
    [
      'AR-5: unset',
      `${UNIT}\n[Service]\nUnsetEnvironment=A OPENSHELL_LOCAL_TLS_DIR\n`,
      ['[Service] unsets OPENSHELL_LOCAL_TLS_DIR; leave that out'],
    ],
    [
      'stale, and overridden',
      unit(ENVIRONMENT, `Environment=D=%S/openshell/tls\n${ENVIRONMENT}`),
      [stale('Environment=D=%S/openshell/tls')],
    ],
  ])('%s', (_, text, reasons) => {
    expect(unitReasons(text, '%')).toEqual(reasons);
  });

  test('a spec doubles every percent sign, or rpm takes it for a macro', () => {
    expect(unitReasons(UNIT, '%%')).toEqual([
      `[Service] has '${ENVIRONMENT}', wanted ${ENVIRONMENT.replace('%', '%%')}`,
    ]);
    expect(unitReasons(unit('%h/.local/state', '%S').replaceAll('%', '%%'), '%%')[1]).toContain(
      'has %S/openshell/tls in',
    );
  });
});

describe('the unit in a spec', () => {
  test.each([
    "cat << 'EOF' > /x-gateway.service\nunit\nEOF\n",
    'cat >/x-gateway.service <<"END"\nEOF\nEND\n',
    "cat > /other << 'EOF'\nno\nEOF\ncat > /x-gateway.service << 'EOF'\nunit\nEOF\n",
  ])('is found: %j', (spec) => {
    expect(specReasons(spec)).toHaveLength(2);
  });

  test.each([
    ['no here-document', 'install x-gateway.service /y\n'],
    ['one whose variables the shell would expand', 'cat > /x-gateway.service << EOF\nunit\nEOF\n'],
    ['one in a comment', "# cat > /x-gateway.service << 'EOF'\nunit\nEOF\n"],
    ['one of another file', "cat > /x.service << 'EOF'\nx-gateway.service\nEOF\n"],
  ])('is not there: %s', (_, spec) => {
    expect(specReasons(spec)).toEqual([expect.stringContaining('writes no unit of the gateway')]);
  });
});
