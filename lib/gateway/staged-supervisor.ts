// SPDX-License-Identifier: Apache-2.0

/** The supervisor of a launch from staging: release, static, for the architecture that sandboxes run on. */

import type { Environment } from '../environment.ts';
import { copyWhole, sweepTemporary } from '../files.ts';
import { digestOf } from '../launch-build/digest.ts';
import type { Arch, Host } from '../platform.ts';
import { COMPONENTS } from '../product.ts';
import { carryOut } from '../stage/carry-out.ts';
import { resolveStageConfig } from '../stage/config.ts';
import { type Artefact, artefactsOf, type PreparedStage } from '../stage/plan.ts';
import { prepareStage } from '../stage/prepare.ts';
import { dryRunLines } from '../stage/report.ts';
import { verifyArtefact } from '../stage/verify.ts';
import type { Workbench } from '../task.ts';
import type { Step } from './driver.ts';
import { featuresFor, type LaunchFeatures } from './launch-features.ts';
import type { SupervisorChoice, SupervisorSource } from './supervisor.ts';

/**
 * Plans its staging.
 *
 * @throws usageError where this machine cannot build it
 */
export async function planStaged(
  bench: Workbench,
  features: LaunchFeatures,
  root: string,
  host: Host,
  arch: Arch,
  choice: SupervisorChoice,
): Promise<SupervisorSource> {
  const env = closedEnvironment(bench.env);
  const config = resolveStageConfig(COMPONENTS.supervisor.name, env, root, bench.startDirectory, host);
  const staging = { ...config, arches: [arch], features: featuresFor(features, [COMPONENTS.supervisor]) };
  const [artefact] = artefactsOf(staging) as [Artefact];
  const prepared = await prepareStage(bench, staging);
  return {
    arch,
    choice,
    steps: [stageStep(bench, prepared)],
    install: async (_, path) => {
      sweepTemporary(path);
      return copyWhole(artefact.path, path, 0o755, (copy) => verifyArtefact(artefact, copy));
    },
    digest: () => digestOf(artefact.path),
  };
}

/** What else staging would read is the business of image builds and releases. */
function closedEnvironment(env: Environment): Environment {
  return { ...env, PREBUILT_ARCH: undefined, DOCKER_PLATFORM: undefined, OPENSHELL_CARGO_VERSION: undefined };
}

function stageStep(bench: Workbench, prepared: PreparedStage): Step {
  return {
    name: 'stage',
    title: 'supervisor, release',
    lines: dryRunLines(bench.door, prepared),
    run: async () => {
      await carryOut(bench, prepared);
    },
  };
}
