// SPDX-License-Identifier: Apache-2.0

/**
 * What cargo says about the workspace, so that each of `EXTRA_CARGO_FEATURES` goes to the components that declare it, and
 * about what it has built: paths are never guessed (https://doc.rust-lang.org/cargo/reference/external-tools.html).
 */

import type { Runner } from '../build-env.ts';
import { mark } from '../cli/dry-run-marks.ts';
import { failure, shown, usageError } from '../errors.ts';
import { isTable, parseTable } from '../fs/parse-json.ts';
import { cmd } from '../process/command.ts';
import { findProgram } from '../process/which.ts';
import type { Binary } from '../product.ts';
import type { Toolchain } from './find-toolchain.ts';
import { targetDirectoryOf } from './settings.ts';

export interface Package {
  readonly name: string;
  readonly features: ReadonlySet<string>;
  readonly dependencies: ReadonlySet<string>;
}

export interface Workspace {
  /** Absolute; `CARGO_TARGET_DIR` and cargo's configuration are honoured. */
  readonly targetDirectory: string;
  /** In a dry run the mark for their features, where cargo is missing. */
  readonly packages: readonly Package[] | string;
}

/**
 * Runs `cargo metadata`; without dependencies it needs no network and no lock file.
 * @param targetDirectory the user's `CARGO_TARGET_DIR`, absolute
 * @throws TaskError with cargo's status, or 1 for output that is not metadata
 */
export async function readWorkspace(
  runner: Runner,
  toolchain: Toolchain,
  root: string,
  targetDirectory: string | undefined,
): Promise<Workspace> {
  const env = targetDirectory === undefined ? {} : { CARGO_TARGET_DIR: targetDirectory };
  const command = cmd({ cwd: root, env, base: toolchain.env })`cargo metadata --format-version 1 --no-deps`;
  const isThere = findProgram('cargo', runner.environmentOf(command)) !== undefined;
  if (toolchain.unknowns === undefined || isThere) return parseMetadata(await runner.cargo(command));
  const directory = targetDirectoryOf(root, targetDirectory, toolchain.settings);
  return { targetDirectory: directory, packages: mark('features', 'cargo not on PATH') };
}

/** Reads what cargo printed, after the text of a tool that prints more. @throws failure for anything but metadata */
export function parseMetadata(text: string): Workspace {
  const { target_directory: targetDirectory, packages } = parseTable(text.slice(Math.max(0, text.indexOf('{')))) ?? {};
  const list = Array.isArray(packages) ? packages.map(packageOf) : [undefined];
  if (typeof targetDirectory === 'string' && list.every((entry) => entry !== undefined)) {
    return { targetDirectory, packages: list };
  }
  throw failure(
    `cargo metadata printed ${shown(text)}, which is not the metadata of a workspace; check: cargo --version`,
  );
}

/** `undefined` for what is not the metadata of a package. */
function packageOf(entry: unknown): Package | undefined {
  const { name, features = {}, dependencies = [] } = isTable(entry) ? entry : {};
  if (typeof name !== 'string' || !isTable(features) || !Array.isArray(dependencies)) return undefined;
  const names = dependencies.map((one: unknown) => (isTable(one) ? (one.rename ?? one.name) : undefined));
  if (!names.every((one) => typeof one === 'string')) return undefined;
  return { name, features: new Set(Object.keys(features)), dependencies: new Set(names) };
}

/** The features of a list that blanks or commas separate, each once, in their order. */
export function splitFeatures(text: string | undefined): string[] {
  return [...new Set((text ?? '').split(/[\s,]+/).filter((feature) => feature !== ''))];
}

/** The features of each component, by its name. */
export type Features = ReadonlyMap<string, readonly string[]>;

/** @throws usageError for a feature that none of the components declares */
export function featuresByComponent(
  features: readonly string[],
  components: readonly Binary[],
  packages: readonly Package[] | string,
): Features {
  if (typeof packages === 'string') return new Map(components.map(({ name }) => [name, [packages]]));
  const names = components.map((component) => component.package);
  const unknown = features.find((feature) => !names.some((name) => declares(packages, name, feature)));
  if (unknown !== undefined) {
    const known = packages.filter(({ name }) => names.includes(name)).flatMap((entry) => [...entry.features]);
    const text = `EXTRA_CARGO_FEATURES has ${shown(unknown)}, which is no feature of ${names.join(' and ')}`;
    throw usageError(`${text}; allowed are ${[...new Set(known)].sort().join(', ') || 'none'}; change it or unset it`);
  }
  const own = (name: string) => features.filter((feature) => declares(packages, name, feature));
  return new Map(components.map((component) => [component.name, own(component.package)]));
}

/** Whether a package can be built with a feature: its own, or `dependency/feature` (also `dependency?/feature`). */
function declares(packages: readonly Package[], name: string, feature: string): boolean {
  const facts = packages.find((entry) => entry.name === name);
  const [, dependency = '', inner = ''] = /^([^/?]+)\??\/(.+)$/.exec(feature) ?? [];
  if (dependency === name) return facts?.features.has(inner) === true;
  // Whether a dependency has it is cargo's to say.
  return facts?.features.has(feature) === true || facts?.dependencies.has(dependency) === true;
}

/** The features of some of the components, each once. */
export function featuresFor(features: Features, components: readonly Binary[]): string[] {
  return [...new Set(components.flatMap(({ name }) => features.get(name) ?? []))];
}

export const MESSAGE_FORMAT = '--message-format=json-render-diagnostics';

/** The paths of all files that cargo has built, from its stdout. */
export function artifactsOfCargo(stdout: string): string[] {
  return artifactMessages(stdout).flatMap(({ filenames }) =>
    Array.isArray(filenames) ? filenames.filter((path) => typeof path === 'string') : [],
  );
}

export type CargoReport = ReturnType<typeof readCargoMessages>;

/** Reads cargo's stdout; other lines (of a tool that prints more) are skipped. */
export function readCargoMessages(stdout: string) {
  const artifacts = artifactMessages(stdout);
  /** Paths of the executables of a binary, one for each `--target`. */
  const executablesOf = (binary: string): readonly string[] =>
    artifacts.flatMap(({ target, executable }) =>
      typeof executable === 'string' && isProgram(target, binary) ? [executable] : [],
    );
  const compiled = artifacts.filter(({ fresh }) => fresh === false).length;
  return { executablesOf, compiled, total: artifacts.length };
}

function artifactMessages(stdout: string): Record<string, unknown>[] {
  return stdout.split('\n').flatMap((line) => {
    const message = line.startsWith('{') ? parseTable(line) : undefined;
    return message?.reason === 'compiler-artifact' ? [message] : [];
  });
}

function isProgram(target: unknown, name: string): boolean {
  return isTable(target) && target.name === name && Array.isArray(target.kind) && target.kind.includes('bin');
}
