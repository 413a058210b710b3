// SPDX-License-Identifier: Apache-2.0

/** The gateway whose sandboxes are Docker containers; the supervisor is mounted into them from the state directory. */

import { join } from 'node:path';
import { readVariable } from '../../cli/env.ts';
import { COMPONENTS } from '../../product.ts';
import { type Config, loopback } from '../config.ts';
import { resolveProfile, type SupervisorSource } from '../supervisor/source.ts';
import { PULL_POLICIES, parsePullPolicy } from '../validate.ts';
import { prepareSupervisor } from './engine.ts';
import type { BuiltStep, DriverRecord, Preparation } from './types.ts';

export const DOCKER_DRIVER: DriverRecord = {
  name: 'docker',
  title: 'Docker',
  port: 18_080,
  // Beside an installed gateway it is for trying things out; the user says when it is the one to use.
  isActivated: false,
  variables: {
    name: ['OPENSHELL_DOCKER_GATEWAY_NAME', 'OPENSHELL_GATEWAY_NAME'],
    stateDirectory: ['OPENSHELL_DOCKER_GATEWAY_STATE_DIR', 'OPENSHELL_GATEWAY_STATE_DIR'],
  },
  bind: loopback,
  open({ env, problems }, config) {
    const source = 'OPENSHELL_SANDBOX_IMAGE_PULL_POLICY';
    const profile = problems.attempt(() => resolveProfile(env), undefined);
    const policy = problems.attempt(() => parsePullPolicy(source, readVariable(env, source), PULL_POLICIES), '');
    const namespace = readVariable(env, 'OPENSHELL_SANDBOX_NAMESPACE') ?? 'docker-dev';
    const endpoint = config.grpcEndpoint ?? `http://host.openshell.internal:${config.port}`;
    return {
      defaultImage: undefined,
      binaries: [COMPONENTS.supervisor],
      gatewayEnv: {},
      metadata: {},
      prepare: async (ctx, facts) => {
        const prepared = await prepareSupervisor(ctx, 'docker', facts, profile);
        return prepared && decide(config, { policy, namespace, endpoint }, prepared.source);
      },
    };
  },
};

function decide(
  config: Config,
  { endpoint, namespace, policy }: Readonly<Record<'endpoint' | 'namespace' | 'policy', string>>,
  supervisor: SupervisorSource,
): Preparation {
  // Running sandboxes hold the file that stood here before: it is replaced, never written into.
  const path = join(config.stateDirectory, 'supervisor', supervisor.arch, COMPONENTS.supervisor.binary);
  return {
    before: supervisor.steps,
    wishes: { withSupervisor: supervisor.choice.profile === 'dev', others: [], env: {} },
    after: [installStep(supervisor, path)],
    table: () => ({
      default_image: config.sandboxImage,
      image_pull_policy: policy,
      sandbox_namespace: namespace,
      grpc_endpoint: endpoint,
      supervisor_bin: path,
    }),
    banner: [
      ['namespace', namespace],
      ['supervisor', `${supervisor.choice.profile} profile, static (${supervisor.choice.reason})`],
    ],
  };
}

function installStep(supervisor: SupervisorSource, path: string): BuiltStep {
  return {
    name: 'supervisor',
    title: `supervisor for linux/${supervisor.arch}`,
    lines: [`# writes ${path}`],
    run: async (build) => {
      await supervisor.install(build, path);
    },
  };
}
