// SPDX-License-Identifier: Apache-2.0

/** Whether this machine can link a program statically with its own C library. */

import { isAbsolute } from 'node:path';
import type { Runner } from '../build-env.ts';
import { type CargoSettings, cargoSettings, linkerOf, readConfigFiles } from '../cargo/config-files.ts';
import type { Environment } from '../cli/env.ts';
import { oneLine, shown } from '../errors.ts';
import { linuxTriple } from '../host.ts';
import { command } from '../process/command.ts';
import type { LaunchBuildConfig } from './config.ts';

const PROBE_TIMEOUT_MS = 20_000;
const WAY = 'for the quick way install it: libc6-dev (Debian, Ubuntu), glibc-static (Fedora, RHEL)';

/**
 * Why no static supervisor can be built in the gateway's run; `undefined` where one can. The caller
 * then takes the staged one and shows the reason, which ends with how to get the quick way.
 */
export async function whyNoStaticLibc(
  runner: Runner,
  env: Environment,
  config: LaunchBuildConfig,
): Promise<string | undefined> {
  if (config.host.platform !== 'linux') return 'a static supervisor for Linux comes from staging on this machine';
  if (config.host.arch === undefined) return 'this machine is neither amd64 nor arm64';
  const settings = cargoSettings(readConfigFiles(config.root, env), env, config.root);
  const linker = linkerOf(settings, targetOf(settings, config.host.arch)) ?? 'cc';
  // Without the file, the compiler answers with the bare name.
  const answer = await runner.probe(
    command([linker, '-print-file-name=libc.a'], { cwd: config.root }),
    PROBE_TIMEOUT_MS,
  );
  if (!answer.ok) return `${linker} cannot say where libc.a is (${oneLine(answer.reason)}); ${WAY}`;
  if (isAbsolute(answer.output)) return undefined;
  return `there is no libc.a (${linker} answers ${shown(answer.output)}); ${WAY}`;
}

/** The target that cargo builds for, as far as a linker is set for it. */
function targetOf(settings: CargoSettings, arch: NonNullable<LaunchBuildConfig['host']['arch']>): string {
  const host = linuxTriple(arch, 'gnu');
  return settings.targets.find((target) => linkerOf(settings, target) !== undefined) ?? host;
}
