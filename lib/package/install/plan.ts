// SPDX-License-Identifier: Apache-2.0

/** The plan of an installation, pure: what is built and packed, and the commands after that. */

import { join } from 'node:path';
import type { Toolchain } from '../../cargo/find-toolchain.ts';
import type { DevBuildPlan } from '../../dev-build/plan.ts';
import type { Host } from '../../host.ts';
import { type Command, cmd } from '../../process/command.ts';
import { CLI, COMPONENTS, DEB } from '../../product.ts';
import type { PackagePlan } from '../plan.ts';
import type { Registration } from './registration.ts';

/** This machine, as values for tests. */
export interface InstallFacts {
  readonly host: Host;
  readonly isRoot: boolean;
  /** Whether sudo can ask for a password. */
  readonly hasTerminal: boolean;
  /** Where the package puts programs, absolute. */
  readonly programs: string;
  /** Where the packaged gateway responds. */
  readonly port: number;
  /** How long it may take until it does. */
  readonly waitMs: number;
}

/** An installation that is planned: nothing but probes has been started. */
export interface InstallPlan {
  readonly facts: InstallFacts;
  readonly toolchain: Toolchain;
  readonly build: DevBuildPlan;
  /** The runtime that the VM driver embeds; `undefined` where it gets none. */
  readonly runtime: string | undefined;
  /** What users have to know of it; `undefined` where it is as it should be. */
  readonly warning: string | undefined;
  /** With names in angle brackets for the programs, until cargo says where they are. */
  readonly package: PackagePlan;
  readonly registration: Registration;
  readonly commands: InstallCommands;
}

/** The commands in their order. */
export interface InstallCommands {
  readonly install: Command;
  readonly versions: readonly Command[];
  readonly service: readonly Command[];
  readonly register: Command;
}

/**
 * @param cwd where the user has started the task
 * @param isRunning whether the service runs the programs that are replaced
 */
export function installCommands(facts: InstallFacts, cwd: string, deb: string, isRunning: boolean): InstallCommands {
  const command = cmd({ cwd });
  // By their whole paths: PATH may have the development programs of a checkout first.
  const cli = join(facts.programs, CLI.binary);
  const endpoint = `https://${DEB.address}:${facts.port}`;
  return {
    install: command`${[...(facts.isRoot ? [] : ['sudo']), 'dpkg']} -i ${deb}`,
    versions: [command`${cli} --version`, command`${join(facts.programs, COMPONENTS.gateway.binary)} --version`],
    service: [
      command`systemctl --user daemon-reload`,
      command`systemctl --user enable --now ${DEB.service}`,
      ...(isRunning ? [command`systemctl --user restart ${DEB.service}`] : []),
    ],
    register: command`${cli} gateway add ${endpoint} --local --name ${DEB.gateway}`,
  };
}
