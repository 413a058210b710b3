// SPDX-License-Identifier: Apache-2.0

/** Which mise task of OpenShell calls which bash script, and what has taken the place of each script. */

/** A mise task of OpenShell that is one call of a script. */
export interface Row {
  readonly script: string;
  /** The arguments that ours passes; not looked at where it is not said. */
  readonly args?: string;
  readonly isHidden?: true;
  readonly env?: Readonly<Record<string, string>>;
  /** On Windows it says that it is skipped. */
  readonly isSkippedOnWindows?: true;
}

const own = (name: string) => `tasks/scripts/${name}.sh`;
const helm = (args: string) => ({ script: own('helm-k3s-local'), args });
const keycloak = (args: string) => ({ script: 'scripts/keycloak-dev.sh', args });
const deb = (OPENSHELL_DEB_ARCH: string) =>
  ({ script: own('package-deb'), args: '', isHidden: true, env: { OPENSHELL_DEB_ARCH } }) as const;
const tested = (name: string) => ({ script: own(name), isHidden: true, isSkippedOnWindows: true }) as const;

export const CALLS: Readonly<Record<string, Row>> = {
  'build:docker:ci': { script: own('docker-build-ci'), args: '', isHidden: true },
  'build:docker:prebuilt': { script: own('stage-prebuilt-binaries'), args: '', isHidden: true },
  'build:docker:gateway': { script: own('docker-build-image'), args: 'gateway', isHidden: true },
  'build:docker:supervisor': { script: own('docker-build-image'), args: 'supervisor', isHidden: true },
  'build:docker:multiarch': { script: own('docker-publish-multiarch'), args: '', isHidden: true },
  // It asks first, and takes other arguments than the script.
  'docker:cleanup': { script: 'scripts/docker-cleanup.sh' },
  'docker:cleanup:dry-run': { script: 'scripts/docker-cleanup.sh', args: '--dry-run' },
  gateway: { script: own('gateway'), args: '' },
  'gateway:docker': { script: own('gateway-docker'), args: '' },
  'gateway:podman': { script: own('gateway-podman'), args: '' },
  'gateway:vm': { script: own('gateway-vm'), args: '' },
  'helm:k3s:create': helm('create'),
  'helm:k3s:delete': helm('delete'),
  'helm:k3s:start': { ...helm('start'), isHidden: true },
  'helm:k3s:stop': { ...helm('stop'), isHidden: true },
  'helm:k3s:status': { ...helm('status'), isHidden: true },
  keycloak: keycloak('start'),
  'keycloak:stop': keycloak('stop'),
  'keycloak:status': keycloak('status'),
  'keycloak:k8s:setup': { script: own('keycloak-k8s-setup'), args: '' },
  'package:deb': { script: own('package-deb'), args: '', isHidden: true },
  'package:deb:amd64': deb('amd64'),
  'package:deb:arm64': deb('arm64'),
  'package:deb:install': { script: own('package-deb-install'), args: '' },
  sandbox: { script: own('sandbox'), args: '' },
  'test:install-sh': { ...tested('test-install-sh'), args: '' },
  'test:build-env': tested('test-build-env'),
  'test:packaging-assets': { ...tested('test-packaging-assets'), args: '' },
  'e2e:workloads:build': { script: own('e2e-gpu-build-images'), args: '' },
  'vm:setup': { script: own('vm/vm-setup'), args: '' },
  'vm:supervisor': { script: own('vm/build-supervisor-bundle'), args: '' },
  'vm:smoke:orphan-cleanup': { script: own('vm/smoke-orphan-cleanup'), args: '' },
};

/** Mise tasks that are more than one call: the scripts among their lines stay there by path. */
export const AMONG_OTHERS: Readonly<Record<string, string>> = {
  'rust:verify:telemetry-off': own('verify-telemetry-compiled-out'),
  // It sources the script; the tasks have lib/engine, which no bash can source.
  'build:python:wheel:macos:docker': own('container-engine'),
};

/** Scripts that no mise task calls: workflows, and the other scripts. */
const BY_PATH = [
  ...['setup-zig-cc-wrapper', 'snap-gateway-wrapper', 'verify-glibc-symbols', 'verify-static-binary'],
  ...['vm/build-libkrun', 'vm/build-libkrun-macos', 'vm/compress-vm-runtime', 'vm/download-kernel-runtime'],
  'vm/package-vm-runtime',
].map(own);

/** What has taken the place of a script, where that is not the task of its name. */
const REPLACED_BY: Readonly<Record<string, string>> = {
  [own('stage-prebuilt-binaries')]: 'tasks/stage.ts',
  [own('test-build-env')]: 'test/lib/build-env.test.ts',
  [own('build-env')]: 'lib/build-env.ts',
  [own('container-engine')]: 'lib/engine/detect.ts',
  [own('vm/_lib')]: 'lib/vm/runtime-files.ts',
};

/** Its replacement, relative to the suite. */
export const replacementOf = (script: string) =>
  REPLACED_BY[script] ?? script.replace(/^(tasks\/)?scripts\//, 'tasks/').replace(/\.sh$/, '.ts');

/** All scripts, by their paths in OpenShell. */
export const SCRIPTS = [
  ...new Set([
    ...[...Object.values(CALLS).map(({ script }) => script), ...Object.values(AMONG_OTHERS), ...BY_PATH],
    ...Object.keys(REPLACED_BY),
  ]),
].sort();
