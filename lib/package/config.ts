// SPDX-License-Identifier: Apache-2.0

/** What a Debian package is made from: environment and checkout, checked, as one value. */

import { join } from 'node:path';
import { type Environment, readPath, readVariable } from '../cli/env.ts';
import type { Problems } from '../cli/problems.ts';
import type { TaskContext } from '../cli/task.ts';
import { shown, usageError } from '../errors.ts';
import { absolutePath, contentOf, textIn } from '../fs/paths.ts';
import { ARCHES, type Arch, type Host } from '../host.ts';
import { isExecutable } from '../process/which.ts';
import { CLI, COMPONENTS, DEB, DRIVER } from '../product.ts';

const AUTHORED = ['control.in', 'openshell-gateway.service', 'postinst.sh', 'prerm.sh', 'postrm.sh'] as const;
/** Epoch, and a rest that begins with a digit and whose revision, after the last hyphen, is not empty. */
const VERSION = /^(?:[0-9]+:)?[0-9](?:[A-Za-z0-9.+~-]*[A-Za-z0-9.+~])?$/;

export type PackageConfig = ReturnType<typeof resolvePackageConfig>;
export type Binaries = Readonly<Record<'cli' | 'gateway' | 'driver', string>>;

/** Resolves all but the binaries; whatever is wrong becomes one of the problems. */
export function resolvePackageConfig(
  problems: Problems,
  { env, startDirectory }: Pick<TaskContext, 'env' | 'startDirectory'>,
  root: string,
  arch: () => Arch,
  defaultVersion?: string,
) {
  const authored = (name: string) => contentOf(join(root, DEB.directory, name)).toString();
  return problems.values({
    root: () => root,
    version: () => verifyDebVersion(readVariable(env, 'OPENSHELL_DEB_VERSION') ?? defaultVersion),
    arch,
    outputDirectory: () => readPath(env, 'OPENSHELL_OUTPUT_DIR', startDirectory) ?? join(root, 'artifacts'),
    /** Everything in the package bears it, in seconds since 1970. */
    time: () => readVariable(env, 'SOURCE_DATE_EPOCH') ?? Math.floor(Date.now() / 1000),
    authored: () =>
      Object.fromEntries(AUTHORED.map((name) => [name, authored(name)])) as Record<(typeof AUTHORED)[number], string>,
    licence: () => textIn(join(root, 'LICENSE')),
  });
}

/** @throws usageError unless it is a version by the rules of deb-version(7) */
export function verifyDebVersion(version: string | undefined): string {
  const variable = 'OPENSHELL_DEB_VERSION';
  if (version === undefined) throw usageError(`${variable} is not set; set it to a version such as 1.2.3-1`);
  if (VERSION.test(version)) return version;
  const allowed = 'is a Debian version such as 1.2.3, 1.2.3~rc.1-1 or 1:1.2.3';
  throw usageError(`${variable} is ${shown(version)}; allowed ${allowed}; change it`);
}

/** The variable's, else that of dpkg, else this machine's. @throws usageError where it is neither amd64 nor arm64 */
export function packageArch(env: Environment, printed: string | undefined, host: Host): Arch {
  const known = printed === undefined ? host.arch : ARCHES.find((one) => one === printed);
  const arch = readVariable(env, 'OPENSHELL_DEB_ARCH') ?? known;
  if (arch !== undefined) return arch;
  const found = printed === undefined ? 'this machine' : `dpkg's architecture, ${shown(printed)},`;
  throw usageError(`${found} is neither amd64 nor arm64; set OPENSHELL_DEB_ARCH to amd64 or arm64`);
}

/** Finds the binaries that the variables name; whatever is wrong becomes one of the problems. */
export function resolveBinaries(problems: Problems, env: Environment, startDirectory: string): Binaries {
  const read = (name: 'CLI' | 'GATEWAY' | 'DRIVER_VM', binary: string) => () => {
    const variable = `OPENSHELL_${name}_BINARY` as const;
    const text = readVariable(env, variable);
    const path = absolutePath(startDirectory, text ?? '');
    if (text !== undefined && isExecutable(path)) return path;
    const found = text === undefined ? 'not set' : `${shown(text)}, which is not an executable file`;
    throw usageError(`${variable} is ${found}; set it to the path of ${binary}`);
  };
  return problems.values<Binaries>({
    cli: read('CLI', CLI.binary),
    gateway: read('GATEWAY', COMPONENTS.gateway.binary),
    driver: read('DRIVER_VM', DRIVER.binary),
  });
}
