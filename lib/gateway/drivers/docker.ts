// SPDX-License-Identifier: Apache-2.0

/** The gateway whose sandboxes are Docker containers; the supervisor is mounted into them from the state directory. */

import { join } from 'node:path';
import { readVariable } from '../../cli/env.ts';
import { installSupervisor } from '../../dev-build/execute.ts';
import { files } from '../../fs/writable-places.ts';
import { COMPONENTS } from '../../product.ts';
import { PULL_POLICIES, readPullPolicy } from '../config.ts';
import { driverEngine, prepareSupervisor } from '../supervisor.ts';
import type { DriverRecord } from './types.ts';

export const DOCKER_DRIVER: DriverRecord = {
  name: 'docker',
  title: 'Docker',
  port: 18_080,
  // Beside an installed gateway it is for trying things out; the user says when it is the one to use.
  isActivated: false,
  binaries: [COMPONENTS.supervisor],
  open(ctx, config) {
    const { env, problems } = ctx;
    const probed = driverEngine(ctx, 'docker');
    const own = problems.values({
      profile: () => readVariable(env, 'OPENSHELL_SUPERVISOR_PROFILE'),
      policy: () => readPullPolicy(env, PULL_POLICIES),
      // Sandboxes of one daemon are told apart by it.
      namespace: () => readVariable(env, 'OPENSHELL_SANDBOX_NAMESPACE') ?? config.name,
    });
    return async (tools) => {
      const supervisor = await prepareSupervisor(ctx, config, probed, own, tools);
      if (supervisor === undefined) return undefined;
      const { arch, engine } = supervisor;
      // Running sandboxes hold the file that was here before: it is replaced, never written into.
      const path = join(config.stateDirectory, 'supervisor', arch, COMPONENTS.supervisor.binary);
      return {
        before: supervisor.steps,
        wishes: { supervisor: supervisor.build },
        after: [
          {
            name: 'supervisor',
            title: `supervisor for linux/${arch}`,
            lines: [`# writes ${path}`],
            writes: files(path),
            run: (build) => installSupervisor(supervisor.built(build), path),
          },
        ],
        table: () => ({
          socket_path: engine.socket,
          default_image: config.sandboxImage,
          image_pull_policy: own.policy,
          sandbox_namespace: own.namespace,
          grpc_endpoint: config.grpcEndpoint ?? `http://host.openshell.internal:${config.port}`,
          supervisor_bin: path,
        }),
        banner: [
          ['engine', `${engine.program} on ${engine.socket}`],
          ['namespace', own.namespace],
          ['supervisor', supervisor.description],
        ],
      };
    };
  },
};
