// SPDX-License-Identifier: Apache-2.0

/** A Docker daemon of one's own, and a client that talks to it and knows nothing of the user's Docker. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathOfTool, toolEnvironment } from '../real-tools.ts';
import { httpStatus, type Service, serviceDirectory, startService } from './service.ts';

export interface Dockerd extends Service {
  /** The daemon's address, for `DOCKER_HOST`. */
  readonly host: string;
  /** Variables for a task or a client: the address, and configuration of its own. */
  readonly env: Record<string, string>;
}

/** Starts a daemon without a network (`docker run` needs `--network none`). It needs root. */
export async function startDockerd(): Promise<Dockerd> {
  const directory = serviceDirectory('dockerd');
  const socketPath = join(directory, 'docker.sock');
  const host = `unix://${socketPath}`;
  const place = ['data-root', 'exec-root', 'pidfile'].flatMap((name) => [`--${name}`, join(directory, name)]);
  const isolation = [
    '--iptables=false',
    '--ip6tables=false',
    '--bridge=none',
    '--config-file',
    join(directory, 'none.json'),
  ];
  writeFileSync(join(directory, 'none.json'), '{}\n');
  const service = await startService({
    name: 'dockerd',
    argv: [pathOfTool('dockerd'), ...isolation, ...place, '-H', host],
    env: toolEnvironment(process.env),
    directory,
    isReady: async () => (await httpStatus({ socketPath, path: '/_ping' })) === 200,
    afterwards: () => unmountBelow(directory),
  });
  return { ...service, host, env: { DOCKER_HOST: host, ...dockerClient(directory) } };
}

/**
 * Configuration of a docker client in a directory: no contexts, builders or logins but those that are made there.
 *
 * @returns the variables that point at it
 */
export function dockerClient(directory: string): Record<string, string> {
  const config = join(directory, 'docker-config');
  mkdirSync(join(config, 'cli-plugins'), { recursive: true });
  symlinkSync(pathOfTool('buildx'), join(config, 'cli-plugins/docker-buildx'));
  return { DOCKER_CONFIG: config, BUILDX_CONFIG: join(config, 'buildx') };
}

/** A daemon that was killed leaves the file systems of containers mounted. */
function unmountBelow(directory: string): void {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const points = mounts.map((line) => line.split(' ')[4] ?? '').filter((point) => point.startsWith(`${directory}/`));
  for (const point of points.toReversed()) execFileSync('umount', ['--lazy', point]);
}
