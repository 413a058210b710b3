// SPDX-License-Identifier: Apache-2.0

/** The gateway whose sandboxes are Docker containers; the supervisor is mounted into them from the state directory. */

import { join } from 'node:path';
import type { LaunchFeatures } from '../../cargo/features.ts';
import { textOf } from '../../cli/env.ts';
import type { TaskContext } from '../../cli/task.ts';
import type { Engine } from '../../engine/types.ts';
import { thisHost } from '../../host.ts';
import { COMPONENTS } from '../../product.ts';
import { LAUNCH_VARIABLES, type Settings } from '../config.ts';
import { planSupervisor, probeStaticLibc, profileOf, type SupervisorSource } from '../supervisor/source.ts';
import { PULL_POLICIES, parsePullPolicy } from '../validate.ts';
import { driverEngine } from './engine.ts';
import { type DriverRecord, loopback, type Made, type Step } from './types.ts';

interface DockerSettings {
  readonly policy: string;
  readonly namespace: string;
  readonly grpcEndpoint: string;
}

export const DOCKER_DRIVER: DriverRecord = {
  name: 'docker',
  title: 'Docker',
  port: 18_080,
  // Beside an installed gateway it is for trying things out; the user says when it is the one to use.
  isActivated: false,
  variables: { name: ['OPENSHELL_DOCKER_GATEWAY_NAME'], stateDirectory: ['OPENSHELL_DOCKER_GATEWAY_STATE_DIR'] },
  bind: loopback,
  open({ env, problems }, settings, engine) {
    const policy = textOf(env, LAUNCH_VARIABLES.pullPolicy) ?? 'IfNotPresent';
    problems.attempt(() => profileOf(env), undefined);
    const own: DockerSettings = {
      policy: problems.attempt(() => parsePullPolicy(LAUNCH_VARIABLES.pullPolicy, policy, PULL_POLICIES), ''),
      namespace: textOf(env, LAUNCH_VARIABLES.namespace) ?? 'docker-dev',
      grpcEndpoint: settings.grpcEndpoint ?? `http://host.openshell.internal:${settings.port}`,
    };
    return {
      defaultImage: undefined,
      binaries: [COMPONENTS.supervisor],
      gatewayEnv: {},
      metadata: {},
      prepare: (ctx, features) => prepare(ctx, features, settings, own, engine),
    };
  },
};

async function prepare(
  ctx: TaskContext,
  features: LaunchFeatures,
  settings: Settings,
  own: DockerSettings,
  known: Engine | undefined,
) {
  const host = thisHost();
  const [engine, lack] = await Promise.all([
    known ?? driverEngine(ctx, 'docker', settings.root),
    probeStaticLibc(ctx, settings.root, host),
  ]);
  const supervisor = await planSupervisor(ctx, features, settings.root, host, engine.arch, lack);
  // Running sandboxes hold the file that stood here before: it is replaced, never written into.
  const path = join(settings.stateDirectory, 'supervisor', engine.arch, 'openshell-sandbox');
  return {
    before: supervisor.steps,
    build: { withSupervisor: supervisor.choice.profile === 'dev', others: [], env: {} },
    after: [installStep(supervisor, path)],
    table: () => ({
      default_image: settings.sandboxImage,
      image_pull_policy: own.policy,
      sandbox_namespace: own.namespace,
      grpc_endpoint: own.grpcEndpoint,
      supervisor_bin: path,
    }),
    banner: [
      ['namespace', own.namespace],
      ['supervisor', `${supervisor.choice.profile} profile, static (${supervisor.choice.reason})`],
    ] as const,
  };
}

function installStep(supervisor: SupervisorSource, path: string): Step {
  return {
    name: 'supervisor',
    title: `supervisor for linux/${supervisor.arch}`,
    lines: [`# writes ${path}`],
    run: async (made: Made) => {
      await supervisor.install(made, path);
    },
  };
}
