// SPDX-License-Identifier: Apache-2.0

/** The gateway whose sandboxes are Docker containers; the supervisor is mounted into them from the state directory. */

import { join } from 'node:path';
import { readVariable } from '../../cli/env.ts';
import { COMPONENTS } from '../../product.ts';
import { loopback } from '../config.ts';
import { resolveProfile, type SupervisorSource } from '../supervisor/source.ts';
import { PULL_POLICIES, parsePullPolicy } from '../validate.ts';
import { prepareSupervisor } from './engine.ts';
import type { BuiltStep, DriverRecord, Preparation, PrepareFacts } from './types.ts';

interface DockerConfig {
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
  variables: {
    name: ['OPENSHELL_DOCKER_GATEWAY_NAME', 'OPENSHELL_GATEWAY_NAME'],
    stateDirectory: ['OPENSHELL_DOCKER_GATEWAY_STATE_DIR', 'OPENSHELL_GATEWAY_STATE_DIR'],
  },
  bind: loopback,
  open({ env, problems }, config) {
    const profile = problems.attempt(() => resolveProfile(env), undefined);
    const source = 'OPENSHELL_SANDBOX_IMAGE_PULL_POLICY';
    const own: DockerConfig = {
      policy: problems.attempt(() => parsePullPolicy(source, readVariable(env, source), PULL_POLICIES), ''),
      namespace: readVariable(env, 'OPENSHELL_SANDBOX_NAMESPACE') ?? 'docker-dev',
      grpcEndpoint: config.grpcEndpoint ?? `http://host.openshell.internal:${config.port}`,
    };
    return {
      defaultImage: undefined,
      binaries: [COMPONENTS.supervisor],
      gatewayEnv: {},
      metadata: {},
      prepare: async (ctx, facts) => {
        const supervisor = await prepareSupervisor(ctx, 'docker', facts, profile);
        return supervisor && decide(facts, own, supervisor.source);
      },
    };
  },
};

function decide({ config }: PrepareFacts, own: DockerConfig, supervisor: SupervisorSource): Preparation {
  // Running sandboxes hold the file that stood here before: it is replaced, never written into.
  const path = join(config.stateDirectory, 'supervisor', supervisor.arch, COMPONENTS.supervisor.binary);
  return {
    before: supervisor.steps,
    wishes: { withSupervisor: supervisor.choice.profile === 'dev', others: [], env: {} },
    after: [installStep(supervisor, path)],
    table: () => ({
      default_image: config.sandboxImage,
      image_pull_policy: own.policy,
      sandbox_namespace: own.namespace,
      grpc_endpoint: own.grpcEndpoint,
      supervisor_bin: path,
    }),
    banner: [
      ['namespace', own.namespace],
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
