// SPDX-License-Identifier: Apache-2.0

/** The names that belong to OpenShell stand here alone, because upstream may rename them. Paths are below the checkout. */

export const PRODUCT = {
  name: 'OpenShell',
  /** A directory that every checkout has, beside a `Cargo.toml` with `[workspace]`. */
  landmark: 'crates/openshell-server',
  /** Where image builds find prebuilt binaries, by architecture. */
  prebuiltDirectory: 'deploy/docker/.build/prebuilt-binaries',
  /** The versions of what the VM runtime is made of. */
  vmPins: 'crates/openshell-driver-vm/runtime/pins.env',
  /** What the VM's kernel gets on top of libkrunfw's configuration. */
  kernelFragment: 'crates/openshell-driver-vm/runtime/kernel/openshell.kconfig',
  installer: 'install.sh',
  debianUnit: 'deploy/deb/openshell-gateway.service',
  rpmSpec: 'openshell.spec',
  /** A directory for each workload image of the GPU tests. */
  gpuImages: 'e2e/gpu/images',
  keycloakRealm: 'scripts/keycloak-realm.json',
  /** What the names of its images begin with: local ones, and those of releases. */
  imageNamespaces: ['openshell', 'ghcr.io/nvidia/openshell'],
  /** What the labels of its images and volumes begin with. */
  labelPrefixes: ['openshell.', 'com.nvidia.openshell.'],
} as const;

/** A binary of the workspace: what users call it, its cargo package, and its name in cargo and in the image. */
export interface Binary {
  readonly name: string;
  readonly package: string;
  readonly binary: string;
}

/** A binary that is staged for image builds. */
export type Component = Binary & { readonly name: 'gateway' | 'supervisor' };

export const COMPONENTS = {
  gateway: { name: 'gateway', package: 'openshell-server', binary: 'openshell-gateway' },
  supervisor: { name: 'supervisor', package: 'openshell-sandbox', binary: 'openshell-sandbox' },
} as const satisfies Record<string, Component>;

/** The constants that only the code which sends telemetry has, and the source that they come from. */
export const TELEMETRY = {
  source: 'crates/openshell-core/src/telemetry.rs',
  markers: ['events.telemetry.data.nvidia.com', '415437562476676'],
} as const;

export const CLI = { name: 'cli', package: 'openshell-cli', binary: 'openshell' } as const;

/** The VM driver, which has the VM runtime in it. */
export const DRIVER = { name: 'driver', package: 'openshell-driver-vm', binary: 'openshell-driver-vm' } as const;

/** The Debian package, and the gateway that it runs for a user. */
export const DEB = {
  name: 'openshell',
  directory: 'deploy/deb',
  maintainer: 'NVIDIA OpenShell Maintainers <openshell@nvidia.com>',
  licence: 'OpenShell is under the Apache License, Version 2.0 (Apache-2.0).',
  service: 'openshell-gateway',
  /** The name of its gateway in the CLI, and where that responds. */
  gateway: 'openshell',
  address: '127.0.0.1',
  port: 17_670,
} as const;

/** Settings of a publish that are compiled into the binaries (`option_env!` of the crate openshell-core). */
export const COMPILED_IN = ['IMAGE_TAG', 'OPENSHELL_IMAGE_TAG', 'OPENSHELL_GIT_VERSION'] as const;

/** Names the wrapper that a `RUSTC_WRAPPER` of the suite's own calls. */
export const INNER_WRAPPER = 'OPENSHELL_RUSTC_WRAPPER';

/** Arguments: what to stage, and which image. `sandbox` and `supervisor-output` are old names of the supervisor. */
export const STAGE_TARGETS = ['all', 'gateway', 'supervisor', 'sandbox', 'supervisor-output'] as const;
export const IMAGE_TARGETS = ['gateway', 'supervisor', 'supervisor-output'] as const;

/** The tasks that the doctor looks at, and those that decide where none is named. */
export const DOCTOR_TASKS = [
  ...(['gateway', 'gateway:docker', 'gateway:podman', 'gateway:vm'] as const),
  ...(['build:docker:supervisor', 'build:docker:gateway', 'build:docker:prebuilt'] as const),
] as const;
export const DOCTOR_MAIN_TASKS: readonly DoctorTask[] = ['gateway', 'build:docker:supervisor'];
export type DoctorTask = (typeof DOCTOR_TASKS)[number];
