#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run keycloak:k8s:*`: a Keycloak for tests in a Kubernetes cluster. */

import { runTask } from '../lib/cli/task.ts';
import { READS } from '../lib/cli/variables.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/keycloak-k8s-setup.ts',
    summary: "Install Keycloak with OpenShell's realm in the current local cluster (k3d-*, kind-*), or in a named one.",
    examples: [
      ['mise run keycloak:k8s:setup', 'In the current cluster, one of k3d or kind.'],
      ['mise run keycloak:k8s:teardown -- --context mine', 'Remove it from another one.'],
    ],
    flags: {
      context: { value: 'NAME', help: 'The kube context to work on, whatever cluster it is.' },
      teardown: { help: 'Remove it: the namespace keycloak, with all that is in it.' },
      'dry-run': { help: 'Print the plan and start nothing but probes.' },
    },
    variables: [
      ...(['OPENSHELL_ROOT', 'KUBECONFIG', 'KEYCLOAK_IMAGE', 'KEYCLOAK_ADMIN_USER'] as const),
      ...(['KEYCLOAK_ADMIN_PASSWORD', 'KEYCLOAK_SETUP_PORT', 'KEYCLOAK_HEALTH_TIMEOUT', ...READS.guard] as const),
    ],
  },
  async (ctx, { flags }) => {
    const { withRunner } = await import('../lib/build-env.ts');
    const { keycloakInCluster } = await import('../lib/cluster/keycloak/execute.ts');
    await keycloakInCluster(await withRunner(ctx), flags);
  },
);
