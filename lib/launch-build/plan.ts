// SPDX-License-Identifier: Apache-2.0

/** The plan of a launch's build, pure: one cargo run, and the scripts that it compiles through. */

import type { Command } from '../command.ts';
import type { LaunchBuildConfig } from './config.ts';

/** A script that is written whole before the run. */
export interface ScriptFile {
  readonly path: string;
  readonly text: string;
}

export interface LaunchBuildPlan {
  readonly config: LaunchBuildConfig;
  /** The one cargo run; a dry run prints it through `door.describe`. */
  readonly command: Command;
  /** Empty for a plain build. */
  readonly scripts: readonly ScriptFile[];
  /** The folder of ours that the binaries appear in; `undefined` for a plain build, where that is cargo's own. */
  readonly folder: string | undefined;
}
