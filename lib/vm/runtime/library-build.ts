// SPDX-License-Identifier: Apache-2.0

/** Building the libraries of a runtime, as each platform does it. */

import type { RunnerContext } from '../../build-env.ts';
import { resolveLibkrunConfig, thisBuildHost } from '../libkrun/config.ts';
import { prepareLibkrun } from '../libkrun/execute.ts';
import { resolveMacosConfig } from '../libkrun-macos/config.ts';
import { prepareMacos } from '../libkrun-macos/execute.ts';
import { buildDirectory, type LibraryBuild } from '../local-build.ts';
import { PLATFORMS, type VmPlatform } from '../runtime-files.ts';

/**
 * Resolves the configuration of a platform's build.
 * @returns what probes the rest, and plans
 * @throws usageError for a wrong value
 */
export function libraryBuild(
  { env, startDirectory }: RunnerContext,
  platform: VmPlatform,
  root: string,
  installDeps: boolean,
): (ctx: RunnerContext) => Promise<LibraryBuild> {
  const host = thisBuildHost();
  if (PLATFORMS[platform].os === 'linux') {
    const config = resolveLibkrunConfig(env, root, startDirectory, host, installDeps);
    return (ctx) => prepareLibkrun(ctx, config);
  }
  // The kernel is C that a build on Linux has left there.
  const flags = { kernelDirectory: buildDirectory(root), isStrict: false };
  const config = resolveMacosConfig(env, root, startDirectory, host, flags);
  return (ctx) => prepareMacos(ctx, config);
}
