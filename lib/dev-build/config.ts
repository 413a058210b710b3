// SPDX-License-Identifier: Apache-2.0

/** What a launch has cargo build in the dev profile: checked values, from which `plan.ts` makes one cargo run. */

import type { Environment } from '../cli/env.ts';
import type { Host } from '../host.ts';
import { type Binary, COMPONENTS } from '../product.ts';
import type { BuildOptions } from '../stage/config.ts';

/** What a driver wants built besides the gateway. */
export interface DevBuildWishes {
  /** Whether the same run builds the static supervisor; without it the run is plainly `cargo build`. */
  readonly withSupervisor: boolean;
  /** More binaries of the same run: the VM driver. */
  readonly others: readonly Binary[];
  /** Variables for cargo on top of the user's own: the directory of the embedded VM runtime. */
  readonly env: Environment;
}

export interface DevBuildConfig extends DevBuildWishes, Pick<BuildOptions, 'jobs' | 'targetDirectory'> {
  /** The checkout, absolute. */
  readonly root: string;
  readonly host: Host;
}

/** The binaries of the run, the gateway first. */
export function binariesOf({ withSupervisor, others }: DevBuildWishes): readonly Binary[] {
  return [COMPONENTS.gateway, ...(withSupervisor ? [COMPONENTS.supervisor] : []), ...others];
}
