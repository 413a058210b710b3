// SPDX-License-Identifier: Apache-2.0

/** Building the libraries of a runtime, as each platform does it. */

import type { RunnerContext } from '../../build-env.ts';
import { resolveLibkrunConfig, thisBuildHost } from '../libkrun/config.ts';
import { executeLibkrun, prepareLibkrun } from '../libkrun/execute.ts';
import { libkrunDryRunLines } from '../libkrun/report.ts';
import { resolveMacosConfig } from '../libkrun-macos/config.ts';
import { executeMacos, prepareMacos } from '../libkrun-macos/execute.ts';
import { macosDryRunLines, macosReportLine } from '../libkrun-macos/report.ts';
import { buildDirectory } from '../local-build.ts';
import { PLATFORMS, type VmPlatform } from '../runtime-files.ts';

/** A build that is planned: nothing but probes has been started. */
export interface LibraryBuild {
  /** What a dry run prints. */
  readonly lines: readonly string[];
  /** Builds; gives the report. */
  run(): Promise<string[]>;
}

type Prepare = (ctx: RunnerContext) => Promise<LibraryBuild>;

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
): Prepare {
  const host = thisBuildHost();
  const builds: Readonly<Record<'linux' | 'darwin', () => Prepare>> = {
    linux: () => {
      const config = resolveLibkrunConfig(env, root, startDirectory, host, installDeps);
      return async (ctx) => {
        const prepared = await prepareLibkrun(ctx, config);
        const run = async () => [(await executeLibkrun(ctx, prepared)).line];
        return { lines: libkrunDryRunLines(ctx.runner, prepared), run };
      };
    },
    darwin: () => {
      // The kernel is C that a build on Linux has left there.
      const flags = { kernelDirectory: buildDirectory(root), isStrict: false };
      const config = resolveMacosConfig(env, root, startDirectory, host, flags);
      return async (ctx) => {
        const plan = await prepareMacos(ctx, config);
        const run = async () => [macosReportLine(plan, await executeMacos(ctx, plan))];
        return { lines: macosDryRunLines(ctx.runner, plan), run };
      };
    },
  };
  return builds[PLATFORMS[platform].os]();
}
