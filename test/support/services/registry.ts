// SPDX-License-Identifier: Apache-2.0

/** An image registry on loopback, without TLS; with a password where one is wanted. */

import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathOfTool, toolEnvironment } from '../real-tools.ts';
import { httpStatus, type Service, serviceDirectory, startService } from './service.ts';

export interface RegistryOptions {
  /** Who may push and pull; anybody without it. */
  readonly htpasswd?: { readonly user: string; readonly password: string };
  /** For a registry that comes back: its port (else a free one), and the directory of its images (else in its own). */
  readonly port?: number;
  readonly data?: string;
}

export interface Registry extends Service {
  readonly port: number;
  /** `127.0.0.1:PORT`, as it stands in image references. */
  readonly host: string;
}

/** Starts a registry. */
export async function startRegistry(options: RegistryOptions = {}): Promise<Registry> {
  const directory = serviceDirectory('registry');
  const configPath = join(directory, 'config.json');
  // YAML has JSON in it.
  writeFileSync(configPath, JSON.stringify(configuration(directory, options)));
  let port: number | undefined;
  const service = await startService({
    name: 'docker-registry',
    argv: [pathOfTool('docker-registry'), 'serve', configPath],
    env: toolEnvironment(process.env),
    directory,
    isReady: async (log) => {
      // The system chose the port, and the registry says which.
      const said = /listening on 127\.0\.0\.1:(\d+)/.exec(existsSync(join(directory, 'log')) ? log() : '')?.[1];
      if (said === undefined) return false;
      port = Number(said);
      return (
        (await httpStatus({ host: '127.0.0.1', port, path: '/v2/' })) === (options.htpasswd === undefined ? 200 : 401)
      );
    },
  });
  if (port === undefined) throw new Error('the registry serves, but has not said where');
  return { ...service, port, host: `127.0.0.1:${port}` };
}

function configuration(directory: string, { htpasswd, port, data }: RegistryOptions): object {
  const auth =
    htpasswd === undefined ? {} : { auth: { htpasswd: { realm: 'tests', path: passwords(directory, htpasswd) } } };
  return {
    version: '0.1',
    storage: { filesystem: { rootdirectory: data ?? join(directory, 'data') }, delete: { enabled: true } },
    http: { addr: `127.0.0.1:${port ?? 0}` },
    ...auth,
  };
}

/** The registry takes bcrypt alone, which is what `-B` makes. */
function passwords(directory: string, { user, password }: { user: string; password: string }): string {
  const path = join(directory, 'htpasswd');
  writeFileSync(
    path,
    execFileSync(pathOfTool('htpasswd'), ['-inBC', '4', user], { input: password, encoding: 'utf8' }),
  );
  return path;
}
