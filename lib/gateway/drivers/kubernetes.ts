// SPDX-License-Identifier: Apache-2.0

/** The gateway on this machine whose sandboxes run in a Kubernetes cluster. */

import { textOf } from '../../cli/env.ts';
import { LAUNCH_VARIABLES } from '../config.ts';
import { PULL_POLICIES, parsePullPolicy } from '../validate.ts';
import { type DriverRecord, loopback } from './types.ts';

export const KUBERNETES: DriverRecord = {
  name: 'kubernetes',
  title: 'Kubernetes',
  port: 8080,
  isActivated: true,
  variables: { name: [], stateDirectory: [] },
  bind: loopback,
  open({ env, problems }, settings) {
    const namespace = textOf(env, LAUNCH_VARIABLES.namespace) ?? 'kubernetes-dev';
    const policy = problems.attempt(
      () =>
        parsePullPolicy(
          LAUNCH_VARIABLES.pullPolicy,
          textOf(env, LAUNCH_VARIABLES.pullPolicy) ?? 'IfNotPresent',
          PULL_POLICIES,
        ),
      '',
    );
    return {
      defaultImage: settings.sandboxImage,
      binaries: [],
      gatewayEnv: {},
      metadata: {},
      prepare: async () => ({
        before: [],
        build: { withSupervisor: false, others: [], env: {} },
        after: [],
        table: () => ({ namespace, image_pull_policy: policy, grpc_endpoint: settings.grpcEndpoint }),
        banner: [['namespace', namespace]],
      }),
    };
  },
};
