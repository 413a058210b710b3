// SPDX-License-Identifier: Apache-2.0

/** Plans of a publish, and the commands in them, without a checkout and without an engine. */

import { DOCKER } from '../../lib/engine/docker.ts';
import { PODMAN } from '../../lib/engine/podman.ts';
import type { Engine } from '../../lib/engine/types.ts';
import { commandText } from '../../lib/process/command.ts';
import { type PublishConfig, resolvePublishConfig } from '../../lib/publish/config.ts';
import {
  type BuilderChoice,
  buildImages,
  engineCommands,
  PUBLISHED,
  type PublishPlan,
  planPublish,
  publishBuilt,
} from '../../lib/publish/plan.ts';
import { endedRun } from './run-names.ts';

export const DIGEST_A = `sha256:${'a'.repeat(64)}`;
export const DIGEST_B = `sha256:${'b'.repeat(64)}`;
/** The name of the run of these plans. */
export const RUN = endedRun();

const INFO = { arch: 'x86_64', version: '28', storesIndexes: false } as const;
const ENGINES = {
  docker: { record: DOCKER, program: 'docker', reason: 'it responds', info: { engine: 'docker', ...INFO } },
  podman: { record: PODMAN, program: 'podman', reason: 'it responds', info: { engine: 'podman', ...INFO } },
} as const satisfies Record<string, Engine>;

export function engineOf(name: 'docker' | 'podman'): Engine {
  return ENGINES[name];
}

/** The configuration of a checkout `/src`, in which the task was started. */
export function publishConfig(env: Readonly<Record<string, string>> = {}): PublishConfig {
  return resolvePublishConfig([], { DOCKER_REGISTRY: 'r/org', ...env }, '/src', '/src');
}

/** The plan of a publish with everything staged. */
export function publishPlan(
  name: 'docker' | 'podman',
  env: Readonly<Record<string, string>> = {},
  { builder = {}, temporary = '/tmp' }: { readonly builder?: BuilderChoice; readonly temporary?: string } = {},
): PublishPlan {
  const config = publishConfig(env);
  const host = { platform: 'linux', arch: 'amd64' } as const;
  const stage = { root: '/src', host, components: PUBLISHED, arches: config.arches, build: config.build };
  const chosen = { engine: ENGINES[name], builder, stage, staging: undefined, run: RUN };
  return planPublish(config, chosen, temporary);
}

/** The commands of a plan as lines, with the run's directory as `SCRATCH`, and digests in angle brackets. */
export async function plannedLines(plan: PublishPlan): Promise<string[]> {
  const lines: string[] = [];
  const engine = engineCommands(
    { env: {}, startDirectory: '/start' },
    plan,
    async (command) => void lines.push(commandText(command).replaceAll("'", '').replaceAll(plan.scratch, 'SCRATCH')),
    (what) => `<${what}>`,
  );
  await publishBuilt(plan, await buildImages(engine, plan));
  return lines;
}
