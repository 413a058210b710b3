// SPDX-License-Identifier: Apache-2.0

/** A BuildKit daemon of one's own, which a buildx builder of the driver `remote` stands for. */

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { pathOfTool, toolEnvironment } from '../real-tools.ts';
import { acceptsConnections, type Service, serviceDirectory, startService } from './service.ts';

export interface Buildkitd extends Service {
  /** The daemon's address, for `docker buildx create --driver remote`. */
  readonly address: string;
  /** Makes a builder for a docker client; `env` is that of `startDockerd` or `dockerClient`. */
  createBuilder(name: string, env: Readonly<Record<string, string>>): void;
}

/** Starts a daemon. It needs root. */
export async function startBuildkitd(): Promise<Buildkitd> {
  const directory = serviceDirectory('buildkitd');
  const socketPath = join(directory, 'buildkitd.sock');
  const address = `unix://${socketPath}`;
  const place = ['--root', join(directory, 'root'), '--config', join(directory, 'none.toml')];
  const service = await startService({
    name: 'buildkitd',
    argv: [pathOfTool('buildkitd'), '--addr', address, ...place, '--oci-worker-net=host'],
    env: toolEnvironment(process.env),
    directory,
    isReady: () => acceptsConnections(socketPath),
  });
  return {
    ...service,
    address,
    createBuilder(name, env) {
      const args = ['buildx', 'create', '--name', name, '--driver', 'remote', address];
      execFileSync(pathOfTool('docker'), args, { env: { ...toolEnvironment(process.env), ...env } });
    },
  };
}
