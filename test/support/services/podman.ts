// SPDX-License-Identifier: Apache-2.0

/** Podman with storage, logins and registries of its own. It has no daemon; its service is started where it is wanted. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'smol-toml';
import { pathOfTool, toolEnvironment } from '../real-tools.ts';
import { httpStatus, type Service, serviceDirectory, startService } from './service.ts';

export interface PodmanHome {
  readonly directory: string;
  /** Variables for a task, podman, buildah or skopeo. */
  readonly env: Record<string, string>;
  /** Removes images and directory; a second call does nothing. */
  remove(): void;
}

const homes = new Set<() => void>();

/** Removes every home that this process has made. */
export function removePodmanHomes(): void {
  for (const remove of homes) remove();
  homes.clear();
}

/**
 * Makes a home for podman.
 *
 * @param insecure registries without TLS, `127.0.0.1:PORT`
 */
export function makePodmanHome(insecure: readonly string[] = []): PodmanHome {
  const directory = serviceDirectory('podman');
  const write = (name: string, value: object) => {
    writeFileSync(join(directory, name), stringify(value));
    return join(directory, name);
  };
  mkdirSync(join(directory, 'tmp'));
  // Podman refuses to work with a file that is named and not there.
  writeFileSync(join(directory, 'auth.json'), '{}\n');
  const env = {
    CONTAINERS_STORAGE_CONF: write('storage.toml', {
      storage: { driver: 'overlay', graphroot: join(directory, 'graph'), runroot: join(directory, 'run') },
    }),
    CONTAINERS_REGISTRIES_CONF: write('registries.toml', {
      registry: insecure.map((location) => ({ location, insecure: true })),
    }),
    // Crun, which podman takes where it is installed, does not run under the cgroups of every test machine.
    CONTAINERS_CONF: write('containers.toml', {
      // Nobody may raise the limits of a test machine.
      containers: { default_ulimits: ['nofile=1024:1024', 'nproc=1024:1024'] },
      engine: { tmp_dir: join(directory, 'tmp'), runtime: 'runc' },
    }),
    REGISTRY_AUTH_FILE: join(directory, 'auth.json'),
  };
  let isThere = true;
  const remove = () => {
    if (!isThere) return;
    isThere = false;
    // Mounts below the storage are podman's own to end.
    execFileSync(pathOfTool('podman'), ['system', 'prune', '--all', '--force'], {
      env: { ...toolEnvironment(process.env), ...env },
      stdio: 'ignore',
    });
    rmSync(directory, { recursive: true, force: true });
  };
  homes.add(remove);
  return { directory, env, remove };
}

/** Starts the service of a home on a socket, whose directory exists. */
export function startPodmanService({ env }: PodmanHome, socketPath: string): Promise<Service> {
  return startService({
    name: 'podman system service',
    argv: [pathOfTool('podman'), 'system', 'service', '--time=0', `unix://${socketPath}`],
    env: { ...toolEnvironment(process.env), ...env },
    directory: serviceDirectory('podman-service'),
    isReady: async () => (await httpStatus({ socketPath, path: '/_ping' })) === 200,
    // A service that ends leaves its socket.
    afterwards: () => rmSync(socketPath, { force: true }),
  });
}
