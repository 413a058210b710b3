// SPDX-License-Identifier: Apache-2.0

/**
 * The names that belong to OpenShell: packages, binaries, directories, environment prefixes.
 * They stand here alone, because upstream may rename them.
 */

export const PRODUCT = {
  name: 'OpenShell',
  /** Names the checkout that the tasks work on. */
  rootVariable: 'OPENSHELL_ROOT',
  /** A directory that every checkout has, beside a `Cargo.toml` with `[workspace]`. */
  landmark: 'crates/openshell-server',
  /** Where image builds find prebuilt binaries, below the checkout, by architecture. */
  prebuiltDirectory: 'deploy/docker/.build/prebuilt-binaries',
} as const;

/** A binary that is staged for image builds. */
export interface Component {
  readonly name: 'gateway' | 'supervisor';
  /** The cargo package. */
  readonly package: string;
  /** The binary, in cargo and in the image. */
  readonly binary: string;
}

export const COMPONENTS = {
  gateway: { name: 'gateway', package: 'openshell-server', binary: 'openshell-gateway' },
  supervisor: { name: 'supervisor', package: 'openshell-sandbox', binary: 'openshell-sandbox' },
} as const satisfies Record<string, Component>;

/** Environment variables of the open-file guard. */
export const GUARD_VARIABLES = {
  mode: 'OPENSHELL_BUILD_NOFILE_GUARD',
  limit: 'OPENSHELL_BUILD_NOFILE_LIMIT',
  legacyLimit: 'OPENSHELL_VM_BUILD_NOFILE_LIMIT',
  /** Set by a launcher that knows the open-file limit of the user's shell. */
  shellLimit: 'OPENSHELL_SHELL_NOFILE_LIMIT',
} as const;

/** Names the compiler wrapper that a `RUSTC_WRAPPER` of the suite's own hands crates on to. */
export const WRAPPER_BEHIND = 'OPENSHELL_RUSTC_WRAPPER';
