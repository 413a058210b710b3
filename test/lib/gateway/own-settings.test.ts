// SPDX-License-Identifier: Apache-2.0

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { verifyKubeconfig, verifyProxy, whyNoVm } from '../../../lib/gateway/own-settings.ts';
import { expectRefused, newLaunch, run } from '../../support/launchers.ts';
import { listen } from '../../support/listener.ts';
import { requireTools } from '../../support/real-tools.ts';
import { refusalOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

describe(
  'AM-7: a setting that the gateway would end at is refused before anything is built',
  requireTools('cc').options,
  () => {
    test.each([
      ['OPENSHELL_HEALTH_PORT', 'abc', /^error: OPENSHELL_HEALTH_PORT is 'abc'; allowed is a whole number/m],
      ['OPENSHELL_HEALTH_PORT', '', /^error: OPENSHELL_HEALTH_PORT is ''/m],
      ['OPENSHELL_METRICS_PORT', '65536', /^error: OPENSHELL_METRICS_PORT is '65536'/m],
      ['OPENSHELL_HEALTH_PORT', 'own', /^error: OPENSHELL_HEALTH_PORT and OPENSHELL_SERVER_PORT are both /m],
      [
        'OPENSHELL_METRICS_PORT',
        'taken',
        /^error: 127\.0\.0\.1:\d+ is in use by \S+ \(pid \d+\); stop it, or set OPENSHELL_METRICS/m,
      ],
    ])('%s=%s', async (name, value, line) => {
      const launch = newLaunch('docker');
      const { OPENSHELL_SERVER_PORT: own = '' } = await launch.launchEnv();
      const port = { own, taken: String(await listen('127.0.0.1')) }[value] ?? value;
      expectRefused(await run(launch, 'docker', [], { [name]: port }), launch, line);
    });

    test('both of these ports in one, and 0 for none', async () => {
      const launch = newLaunch('docker');
      const both = { OPENSHELL_HEALTH_PORT: '18999', OPENSHELL_METRICS_PORT: '18999' };
      const refused = /^error: OPENSHELL_METRICS_PORT and OPENSHELL_HEALTH_PORT are both 18999/m;
      expectRefused(await run(launch, 'docker', [], both), launch, refused);
      const none = { OPENSHELL_HEALTH_PORT: '0', OPENSHELL_METRICS_PORT: '00' };
      expect((await run(launch, 'docker', [], none)).status).toBe(0);
      expect(launch.served()?.env.OPENSHELL_HEALTH_PORT).toBe('0');
    });

    test('a kubeconfig that is not there', async () => {
      const launch = newLaunch('kubernetes');
      const result = await run(launch, 'kubernetes', [], { KUBECONFIG: '/nonexistent/kc' });
      expectRefused(result, launch, /^error: the kubeconfig \/nonexistent\/kc: .*; set KUBECONFIG/m);
    });

    test('a proxy', async () => {
      const launch = newLaunch('podman');
      const result = await run(launch, 'podman', [], { OPENSHELL_SANDBOX_HTTPS_PROXY: 'https://u:secret@proxy' });
      expectRefused(result, launch, /^error: OPENSHELL_SANDBOX_HTTPS_PROXY is not http:\/\/HOST:PORT without/m);
      expect(result.stderr).not.toContain('secret');
    });
  },
);

test('AM-7: kubeconfigs: all of KUBECONFIG, else that of the home; none in a cluster', () => {
  const home = temporaryDirectory();
  const refusal = (env: Record<string, string>) => refusalOf(() => verifyKubeconfig(env, home));
  expect(refusal({ HOME: home })).toContain(`the kubeconfig ${home}/.kube/config: it does not exist`);
  mkdirSync(join(home, '.kube'));
  writeFileSync(join(home, '.kube/config'), '');
  expect(() => verifyKubeconfig({ HOME: home, KUBECONFIG: ':' }, home)).not.toThrow();
  expect(() => verifyKubeconfig({ KUBECONFIG: ':.kube/config' }, home)).not.toThrow();
  expect(refusal({ KUBECONFIG: '.kube/config:b' })).toContain(` ${home}/b: `);
  expect(() => verifyKubeconfig({ KUBERNETES_SERVICE_HOST: '10.0.0.1' }, home)).not.toThrow();
});

const [PROXY, NO_PROXY] = ['OPENSHELL_SANDBOX_HTTPS_PROXY', 'OPENSHELL_SANDBOX_NO_PROXY'];
const [INSECURE, BY_NAME] = ['AUTH_ALLOW_INSECURE', 'CONNECT_BY_HOSTNAME'].map(
  (end) => `OPENSHELL_SANDBOX_PROXY_${end}`,
);
const GOOD = { [PROXY]: 'http://proxy:3128' };
test.each([
  [{ [PROXY]: '' }, 'is not http://HOST:PORT'],
  [{ [PROXY]: 'proxy:3128' }, 'is not http://HOST:PORT'],
  [{ ...GOOD, [String(INSECURE)]: 'yes' }, `${INSECURE} is 'yes'; allowed are true and false`],
  [{ ...GOOD, [String(BY_NAME)]: 'TRUE' }, `${BY_NAME} is 'TRUE'; allowed are true and false`],
])('AM-7: proxy settings that the podman driver refuses: %j', (env, text) => {
  expect(refusalOf(() => verifyProxy(env))).toContain(text);
});

test('proxy settings that it takes', () => {
  for (const env of [
    {},
    GOOD,
    { ...GOOD, [NO_PROXY]: 'a,b', [String(BY_NAME)]: 'false' },
    { [PROXY]: 'http://[::1]:1/' },
  ]) {
    expect(() => verifyProxy(env)).not.toThrow();
  }
});

test('AM-7: a device that is not there, or may not be opened, is said; only Linux has one', () => {
  expect(whyNoVm('linux', join(temporaryDirectory(), 'kvm'))).toMatch(
    /^no sandbox will start: \S+\/kvm: .*; load the module kvm, or join the group/,
  );
  expect(whyNoVm('linux', '/dev/null')).toBeUndefined();
  expect(whyNoVm('darwin', '/none/kvm')).toBeUndefined();
});
