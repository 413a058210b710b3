// SPDX-License-Identifier: Apache-2.0

/** What an engine has, whose it is, and what is removed or kept, pure: the whole plan before any removal. */

import { basename } from 'node:path';
import { type Environment, readVariable } from '../cli/env.ts';
import { VARIABLES } from '../cli/variables.ts';
import type { EngineName } from '../engine/types.ts';
import { usageError } from '../errors.ts';
import { isTable } from '../fs/parse-json.ts';
import { verifyTag } from '../image/reference.ts';
import { COMPONENTS, PRODUCT } from '../product.ts';

/** Images of others that many projects use, and that take long to get again. */
const COSTLY = [
  ...['alpine', 'kindest', 'minio', 'pgvector', 'python', 'rancher/k3s', 'redis', 'registry', 'rust'],
  ...['ghcr.io/astral-sh/uv', 'ghcr.io/k3d-io', 'ghcr.io/nvidia/openshell-community'],
];
/** The images that builds and launches replace, below a namespace of OpenShell; others are current under any tag. */
const REPLACED = ['gateway', 'supervisor', 'ci'];
/** A registry on this machine, which holds copies of local images. */
const LOOPBACK = /^(127(\.\d+){3}|\[::1\]|([a-z0-9-]+\.)*localhost):\d+\//;
const KINDS = ['image', 'volume', 'build cache'] as const;

export type CleanupFlags = Readonly<
  Record<'all-projects' | 'volumes' | 'skip-cache' | 'yes' | 'force' | 'dry-run', boolean>
>;

type CleanupConfig = ReturnType<typeof resolveCleanupConfig>;
type Table = Readonly<Record<string, unknown>>;

export interface Inventory {
  readonly images: readonly ReturnType<typeof imageOf>[];
  /** The ids and names of the images that containers were created from, running or not. */
  readonly used: readonly string[];
  readonly volumes: readonly { readonly name: string; readonly labels: readonly string[]; readonly isUsed: boolean }[];
}

interface Verdict {
  readonly kind: (typeof KINDS)[number];
  readonly isKept: boolean;
  /** The arguments of the engine's program that remove it. */
  readonly args: readonly string[];
  /** What goes with it at most: images share their layers. */
  readonly bytes: number;
}

/** @throws usageError for a wrong tag */
export function resolveCleanupConfig(flags: CleanupFlags, env: Environment) {
  const isForAll = flags['all-projects'];
  const tag = verifyTag('IMAGE_TAG', readVariable(env, 'IMAGE_TAG'));
  // Those that builds and launches use.
  const tags = [...new Set([VARIABLES.IMAGE_TAG.default, tag])];
  // All projects share the build cache.
  return { isForAll, hasVolumes: flags.volumes, hasCache: isForAll && !flags['skip-cache'], tags };
}

/** What a container uses. @throws usageError where it is not known, because then any image may be in use */
export function usedBy({ Config, Image: image, ImageID }: Table): string[] {
  const [id, name] = ImageID === undefined ? [image, isTable(Config) ? Config.Image : undefined] : [ImageID, image];
  if (typeof id === 'string') return [plainId(id), ...textsIn([name])];
  throw usageError('a container does not say which image it uses, so nothing is removed; update the engine');
}

/** An image as docker inspects it, or as podman lists it; podman also tells the names that an image has lost. */
export function imageOf({ Config, History, Id, Labels, Names, RepoDigests, RepoTags, Size }: Table) {
  const config = isTable(Config) ? Config : {};
  const [program = ''] = textsIn(config.Entrypoint);
  const isProgram = Object.values(COMPONENTS).some(({ binary }) => basename(program) === binary);
  const lost = textsIn(History);
  // Empty for one that has lost its name; one with a digest alone goes with the last tag of its repository.
  const names = [Names, RepoTags, RepoDigests].map(textsIn).find(({ length }) => length > 0) ?? [];
  const hasLabel = hasOwnLabel([...keysOf(Labels), ...keysOf(config.Labels)]);
  // What is in it counts where it has no name.
  const isOwn = hasLabel || isProgram || (lost.length > 0 && lost.every(ownName));
  return { id: plainId(String(Id)), names, bytes: typeof Size === 'number' ? Size : 0, isOwn };
}

/** Docker writes `<none>` where there is nothing. */
function textsIn(value: unknown): string[] {
  return [value].flat().filter((one) => typeof one === 'string' && !one.startsWith('<none>')) as string[];
}

export function keysOf(labels: unknown): string[] {
  return isTable(labels) ? Object.keys(labels) : [];
}

function plainId(id: string): string {
  return id.replace(/^sha256:/, '');
}

/** The reference in its shortest form: `docker.io/library/x` and `localhost/x` are `x`. */
export function shortName(reference: string): string {
  return reference.replace(/^((index\.)?docker\.io|localhost)\//, '').replace(/^library\//, '');
}

/** The short name without its digest, in two; the tag is empty where it has none. */
export function partsOf(reference: string) {
  const [, path = '', tag = ''] = /^([^@]*?)(?::([^:/@]+))?(?:@.*)?$/.exec(shortName(reference)) ?? [];
  return { path, tag };
}

/** The name below a namespace of OpenShell, without a tag; `undefined` for an image of others. */
export function ownName(reference: string): string | undefined {
  const name = partsOf(reference).path.replace(LOOPBACK, '');
  const namespace = PRODUCT.imageNamespaces.find((one) => name.startsWith(`${one}/`));
  return namespace && name.slice(namespace.length + 1);
}

export function isCostlyImage(reference: string): boolean {
  return COSTLY.some((name) => `${partsOf(reference).path}/`.startsWith(`${name}/`));
}

function hasOwnLabel(labels: readonly string[]): boolean {
  return labels.some((label) => PRODUCT.labelPrefixes.some((prefix) => label.startsWith(prefix)));
}

export function isOwnVolume(name: string, labels: readonly string[]): boolean {
  return hasOwnLabel(labels) || /^openshell([-_.]|$)/.test(name);
}

/** The verdicts in the order of the removals. Podman's build cache consists of images. */
export function planCleanup({ images, used, volumes }: Inventory, config: CleanupConfig, engine: EngineName) {
  const usedNames = new Set(used.map(shortName));
  const cache: Verdict = {
    ...{ kind: 'build cache', isKept: !config.hasCache, bytes: 0 },
    args: ['builder', 'prune', '--all', '--force'],
  };
  return [
    ...images.flatMap((image) => imageVerdicts(image, usedNames, config)),
    ...volumes.map(({ isUsed, labels, name }): Verdict => {
      const isKept = isUsed || !(config.isForAll || isOwnVolume(name, labels));
      return { kind: 'volume', isKept, args: ['volume', 'rm', name], bytes: 0 };
    }),
    ...(engine === 'docker' ? [cache] : []),
  ];
}

/** Each name by itself, and none by force: an image goes with its last name. */
function imageVerdicts(image: Inventory['images'][number], used: ReadonlySet<string>, config: CleanupConfig) {
  const names = image.names.length === 0 ? [undefined] : image.names;
  const stale = names.map((name) => !used.has(image.id) && isStale(image.isOwn, name, used, config));
  return names.map((name, index): Verdict => {
    const bytes = index === names.length - 1 && stale.every(Boolean) ? image.bytes : 0;
    return { kind: 'image', isKept: !stale[index], args: ['image', 'rm', name ?? image.id], bytes };
  });
}

function isStale(isOwn: boolean, name: string | undefined, used: ReadonlySet<string>, config: CleanupConfig): boolean {
  if (name === undefined) return isOwn || config.isForAll;
  if (used.has(shortName(name))) return false;
  const own = ownName(name);
  if (own !== undefined) return REPLACED.includes(own) && !config.tags.includes(partsOf(name).tag);
  return config.isForAll && !isCostlyImage(name);
}

/** `3 images, 1 volume (images of 1.2 MB at most)`, as much as there is. */
export function amountText(verdicts: readonly Verdict[]): string {
  const megabytes = verdicts.reduce((sum, { bytes }) => sum + bytes, 0) / 1_000_000;
  const size = megabytes === 0 ? '' : ` (images of ${megabytes.toFixed(1)} MB at most)`;
  const counts = KINDS.flatMap((kind) => {
    const { length } = verdicts.filter((one) => one.kind === kind);
    return length === 0 ? [] : [`${length} ${kind}${length === 1 ? '' : 's'}`];
  });
  return `${counts.join(', ') || 'nothing'}${size}`;
}
