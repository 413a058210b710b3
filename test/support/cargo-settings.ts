// SPDX-License-Identifier: Apache-2.0

import type { CargoSettings } from '../../lib/cargo/settings.ts';

/** What cargo's files and variables say where the user has set nothing. */
export const NOTHING_SET: CargoSettings = {
  targetDirectory: undefined,
  buildDirectory: undefined,
  wrapper: undefined,
  workspaceWrapper: undefined,
  rustc: undefined,
  programs: [],
  profileVariables: [],
  hasRustflags: false,
};
