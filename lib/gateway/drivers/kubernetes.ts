// SPDX-License-Identifier: Apache-2.0

/** The gateway on this machine whose sandboxes run in a Kubernetes cluster. */

import { readVariable } from '../../cli/env.ts';
import { loopback } from '../config.ts';
import { PULL_POLICIES, parsePullPolicy } from '../validate.ts';
import type { DriverRecord } from './types.ts';

export const KUBERNETES_DRIVER: DriverRecord = {
  name: 'kubernetes',
  title: 'Kubernetes',
  port: 8080,
  isActivated: true,
  variables: { name: ['OPENSHELL_GATEWAY_NAME'], stateDirectory: ['OPENSHELL_GATEWAY_STATE_DIR'] },
  bind: loopback,
  open({ env, problems }, config) {
    const namespace = readVariable(env, 'OPENSHELL_SANDBOX_NAMESPACE') ?? 'kubernetes-dev';
    const source = 'OPENSHELL_SANDBOX_IMAGE_PULL_POLICY';
    const policy = problems.attempt(() => parsePullPolicy(source, readVariable(env, source), PULL_POLICIES), '');
    return {
      defaultImage: config.sandboxImage,
      binaries: [],
      gatewayEnv: {},
      metadata: {},
      prepare: async () => ({
        before: [],
        wishes: { withSupervisor: false, others: [], env: {} },
        after: [],
        table: () => ({ namespace, image_pull_policy: policy, grpc_endpoint: config.grpcEndpoint }),
        banner: [['namespace', namespace]],
      }),
    };
  },
};
