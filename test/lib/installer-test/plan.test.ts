// SPDX-License-Identifier: Apache-2.0

// biome-ignore-all lint/suspicious/noTemplateCurlyInString: texts of a shell script

import { describe, expect, test } from 'vitest';
import { CASES, caseCommand, faultOf, readsVariable, SHELLS } from '../../../lib/installer-test/plan.ts';
import { commandText } from '../../../lib/process/command.ts';
import type { ProbeResult } from '../../../lib/process/result.ts';

const LINE = 'openshell: error: OpenShell Linux packages require glibc >= 2.28; detected glibc 2.27.';
const accepted = { name: 'a', call: 'f', env: {} };
const printed = { ...accepted, output: 'https://localhost:17670' };
const refused = { ...accepted, refusal: LINE };
const failed = (reason: string, status = 1): ProbeResult => ({ ok: false, reason, status });

test('the cases of the contract, each under a name of its own', () => {
  const shown = CASES.map(({ name, output, refusal }) => [name, output ?? refusal?.replace(/^.*; /, '') ?? 'accepted']);
  expect(Object.fromEntries(shown)).toEqual({
    'ldd: glibc 2.28, getconf: unavailable': 'accepted',
    'ldd: glibc 2.31, getconf: unavailable': 'accepted',
    'ldd: ldd (GNU libc) 2.35, getconf: unavailable': 'accepted',
    'ldd: unavailable, getconf: glibc 2.35': 'accepted',
    'ldd: not ldd, getconf: glibc 2.35': 'accepted',
    'ldd: ldd (GNU libc) 2.27, getconf: unavailable': 'detected glibc 2.27.',
    'ldd: unavailable, getconf: unavailable': 'could not detect glibc.',
    'ldd: unavailable, getconf: musl libc': 'detected musl or unsupported libc.',
    'ldd: musl libc (x86_64), getconf: unavailable': 'detected musl or unsupported libc.',
    'on darwin': 'https://localhost:17670',
    'on linux': 'https://127.0.0.1:17670',
  });
  expect(shown).toHaveLength(11);
});

test('a command sources install.sh in the checkout, with the hooks of its case and no others', () => {
  const [dash = [], busybox = []] = [SHELLS[1], SHELLS[3]];
  const [first, , , , both] = CASES as [(typeof CASES)[number], ...(typeof CASES)[number][]];
  const command = caseCommand('/a b', dash, first);
  expect(command.cwd).toBe('/a b');
  expect(commandText(command)).toBe(
    'OPENSHELL_INSTALL_SH_TEST=1 ' +
      "OPENSHELL_TEST_LDD_OUTPUT='glibc 2.28' OPENSHELL_TEST_GETCONF_UNAVAILABLE=1 " +
      "dash -c '. ./install.sh; require_linux_package_glibc >/dev/null'",
  );
  expect(command.base).toMatchObject({ OPENSHELL_TEST_GETCONF_OUTPUT: undefined, BASH_ENV: undefined });
  expect(caseCommand('/', busybox, both ?? first).argv.slice(0, 3)).toEqual(['busybox', 'sh', '-c']);
});

test.each([
  ['if [ "${OPENSHELL_INSTALL_SH_TEST:-0}" != "1" ]; then', true],
  ['test "$OPENSHELL_INSTALL_SH_TEST" = 1 || main', true],
  ["echo 'OPENSHELL_INSTALL_SH_TEST=1 defines functions only'", false],
  ['# see ${OPENSHELL_INSTALL_SH_TEST}', false],
  ['echo "$OPENSHELL_INSTALL_SH_TESTS"', false],
])('SHL-9: whether %j reads the variable of tests: %s', (text, reads) => {
  expect(readsVariable(`#!/bin/sh\n${text}\n`)).toBe(reads);
});

describe('how a result is judged', () => {
  test.each<[string, Parameters<typeof faultOf>, RegExp | undefined]>([
    ['accepted', [accepted, { ok: true, output: 'anything' }], undefined],
    ['not accepted', [accepted, failed('no\nreason')], /^failed: no\nreason$/],
    ['printed', [printed, { ok: true, output: 'https://localhost:17670' }], undefined],
    ['printed more', [printed, { ok: true, output: 'x\nhttps://localhost:17670' }], /^printed 'x\\nhttps:/],
    ['not printed', [printed, failed('f: not found', 127)], /^failed: f: not found$/],
    ['refused', [refused, failed(`${LINE}\nUse another one.`)], undefined],
    ['not refused', [refused, { ok: true, output: LINE }], /^was accepted, wanted status 1 and 'openshell: error: /],
    ['refused with another status', [refused, failed(LINE, 3)], /^failed with status 3 and 'openshell/],
    ['for another reason', [refused, failed('awk: not found')], /^failed with status 1 and 'awk: not found', wanted/],
    ['without its prefix', [refused, failed(LINE.replace('openshell: error: ', ''))], /^failed with status 1/],
    [
      'too late',
      [refused, { ok: false, reason: 'no response', timedOut: true }],
      /^failed with status unknown and 'no response', wanted/,
    ],
  ])('%s', (_, args, fault) => {
    if (fault === undefined) expect(faultOf(...args)).toBeUndefined();
    else expect(faultOf(...args)).toMatch(fault);
  });
});
