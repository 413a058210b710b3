// SPDX-License-Identifier: Apache-2.0

/** The gateway on this machine whose sandboxes run in a Kubernetes cluster. */

import { miseSettings } from '../../cargo/find-toolchain.ts';
import { readVariable } from '../../cli/env.ts';
import { type DriverRecord, PULL_POLICIES, readPullPolicy } from '../config.ts';

export const KUBERNETES_DRIVER: DriverRecord = {
  name: 'kubernetes',
  title: 'Kubernetes',
  port: 8080,
  isActivated: true,
  binaries: [],
  open(ctx, config) {
    const { env, problems, root } = ctx;
    // It does not follow the gateway's name: it has to exist in the cluster.
    const namespace = readVariable(env, 'OPENSHELL_SANDBOX_NAMESPACE') ?? 'kubernetes-dev';
    const own = problems.values({ policy: () => readPullPolicy(env, PULL_POLICIES) });
    return async () => {
      const gatewayEnv = await miseSettings(ctx, root, ['KUBECONFIG']);
      const ofMise = Object.values(gatewayEnv).map((path) => ['kubeconfig', `${path} (mise)`] as const);
      return {
        defaultImage: config.sandboxImage,
        table: () => ({ namespace, image_pull_policy: own.policy, grpc_endpoint: config.grpcEndpoint }),
        banner: [['namespace', namespace], ...ofMise],
        gatewayEnv,
      };
    };
  },
};
