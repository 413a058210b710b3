// SPDX-License-Identifier: Apache-2.0

/** The plan of an installation, pure: what is built and packed, and the commands after that. */

import { join } from 'node:path';
import type { Toolchain } from '../../cargo/find-toolchain.ts';
import type { DevBuildPlan } from '../../dev-build/plan.ts';
import type { Host } from '../../host.ts';
import { cmd } from '../../process/command.ts';
import { CLI, COMPONENTS, DEB } from '../../product.ts';
import type { PackagePlan } from '../plan.ts';

/** This machine, as values for tests. */
export interface InstallFacts {
  readonly host: Host;
  readonly isRoot: boolean;
  /** Whether sudo can ask for a password. */
  readonly hasTerminal: boolean;
  /** Where the package puts programs, absolute. */
  readonly programs: string;
  /** Where the packaged gateway responds, and how long it may take until it does. */
  readonly port: number;
  readonly waitMs: number;
}

/** An installation that is planned: nothing but probes has been started. */
export interface InstallPlan {
  readonly facts: InstallFacts;
  readonly toolchain: Toolchain;
  readonly build: DevBuildPlan;
  /** The directory of what the VM driver embeds; `undefined` where it gets nothing. */
  readonly runtime: string | undefined;
  /** What users have to know of it; `undefined` where it is as it should be. */
  readonly warning: string | undefined;
  /** With names in angle brackets for the programs, until cargo says where they are. */
  readonly package: PackagePlan;
  /** Where the CLI has its gateways, absolute. */
  readonly configHome: string;
  readonly commands: ReturnType<typeof installCommands>;
}

/** @param cwd where the user has started the task */
export function installCommands(facts: InstallFacts, cwd: string, deb: string) {
  const command = cmd({ cwd });
  // By their whole paths: PATH may have the development programs of a checkout first.
  const [cli, gateway] = [CLI, COMPONENTS.gateway].map(({ binary }) => join(facts.programs, binary)) as [
    string,
    string,
  ];
  const endpoint = `https://${DEB.address}:${facts.port}`;
  return {
    install: command`${facts.isRoot ? ['dpkg'] : ['sudo', 'dpkg']} -i ${deb}`,
    versions: [command`${cli} --version`, command`${gateway} --version`],
    reload: command`systemctl --user daemon-reload`,
    enable: command`systemctl --user enable --now ${DEB.service}`,
    /** A service that runs already keeps the program that it has. */
    restart: command`systemctl --user restart ${DEB.service}`,
    register: command`${cli} gateway add ${endpoint} --local --name ${DEB.gateway}`,
  };
}
