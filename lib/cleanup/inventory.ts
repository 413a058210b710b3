// SPDX-License-Identifier: Apache-2.0

/** What an engine has, whose it is, and what containers use. Where one query fails nothing is known, or removed. */

import { basename } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { mark } from '../cli/dry-run-marks.ts';
import { Problems } from '../cli/problems.ts';
import { probeCommand } from '../engine/detect.ts';
import type { Engine } from '../engine/types.ts';
import { oneLine, shown, usageError } from '../errors.ts';
import { isTable, parseJson } from '../fs/parse-json.ts';
import { COMPONENTS, PRODUCT } from '../product.ts';

const QUERY_TIMEOUT_MS = 120_000;

/** Images of others that many projects use, and that take long to get again. */
const COSTLY = [
  ...['alpine', 'kindest', 'minio', 'pgvector', 'python', 'rancher/k3s', 'redis', 'registry', 'rust'],
  ...['ghcr.io/astral-sh/uv', 'ghcr.io/k3d-io', 'ghcr.io/nvidia/openshell-community'],
];
/** The images that builds and launches replace, below a namespace of OpenShell. */
const REPLACED = ['gateway', 'supervisor', 'ci'];
/** A registry on this machine, which holds copies of local images. */
const LOOPBACK = /^(127(\.\d+){3}|\[::1\]|([a-z0-9-]+\.)*localhost):\d+\//;

export type Image = ReturnType<typeof imageOf>;

export interface Inventory {
  readonly images: readonly Image[];
  /** The ids and names of the images that containers were created from, running or not. */
  readonly used: readonly string[];
  /** Empty where they do not matter. */
  readonly volumes: readonly { readonly name: string; readonly labels: readonly string[]; readonly isUsed: boolean }[];
}

type Table = Readonly<Record<string, unknown>>;

/** Asks for everything at once. @throws usageError where a query fails, after a line for each that does */
export async function takeInventory(ctx: RunnerContext, engine: Engine, hasVolumes: boolean): Promise<Inventory> {
  if (engine.unknown !== undefined) {
    const image = { id: mark('stale images', engine.unknown), names: [], bytes: 0, isOwn: true };
    const volume = { name: mark('unused volumes', engine.unknown), labels: PRODUCT.labelPrefixes, isUsed: false };
    return { images: [image], used: [], volumes: hasVolumes ? [volume] : [] };
  }
  const problems = new Problems();
  const list = (kind: string, ...options: readonly string[]) =>
    problems.attemptAsync(() => tablesOf(ctx, engine, kind, options));
  const [images = [], containers = [], volumes = [], unused = []] = await Promise.all([
    list('image', '--no-trunc'),
    // Those of buildah are podman's alone.
    list('container', '--no-trunc', '--all', ...(engine.record.name === 'podman' ? ['--external'] : [])),
    hasVolumes ? list('volume') : [],
    hasVolumes ? list('volume', '--filter', 'dangling=true') : [],
  ]);
  const used = problems.attempt(() => containers.flatMap(usedBy)) ?? [];
  problems.throwIfAny(ctx.terminal);
  const free = new Set(unused.map(({ Name }) => Name));
  return {
    // Podman lists an image once for each of its names, and all of them each time.
    images: [...new Map(images.map(imageOf).map((image) => [image.id, image])).values()],
    used,
    volumes: volumes.map(({ Labels, Name }) => {
      return { name: String(Name), labels: keysOf(Labels), isUsed: !free.has(Name) };
    }),
  };
}

/** Podman lists whole objects, and cannot inspect images of other platforms; docker lists ids, and inspects them. */
async function tablesOf(ctx: RunnerContext, { program, record }: Engine, kind: string, options: readonly string[]) {
  const ask = async (verb: string, args: readonly string[]) => {
    const command = probeCommand([program, kind, verb, ...args], ctx.startDirectory);
    const result = await ctx.runner.probe(command, QUERY_TIMEOUT_MS);
    if (result.ok) return result.output;
    throw refusal(verb, `failed (${oneLine(result.reason)})`);
  };
  const refusal = (verb: string, why: string) =>
    usageError(`${program} ${kind} ${verb} ${why}, so nothing is removed; find out why, and try again`);
  const tables = async (verb: string, args: readonly string[]): Promise<Table[]> => {
    const text = await ask(verb, args);
    const parsed = parseJson(text);
    if (Array.isArray(parsed) && parsed.every(isTable)) return parsed;
    throw refusal(verb, `gave ${shown(text)}, which is not a list`);
  };
  if (record.name === 'podman') return tables('ls', [...options, '--format', 'json']);
  const ids = [...new Set((await ask('ls', [...options, '--quiet'])).split('\n'))].filter((id) => id !== '');
  return ids.length === 0 ? [] : tables('inspect', ids);
}

/** @throws usageError where it is not known, because then any image may be in use */
function usedBy({ Config, Image: image, ImageID }: Table): string[] {
  const [id, name] = ImageID === undefined ? [image, isTable(Config) ? Config.Image : undefined] : [ImageID, image];
  if (typeof id === 'string') return [plainId(id), ...textsIn([name])];
  throw usageError('a container does not say which image it uses, so nothing is removed; update the engine');
}

/** An image as docker inspects it, or as podman lists it; podman also tells the names that an image has lost. */
function imageOf({ Config, History, Id, Labels, Names, RepoDigests, RepoTags, Size }: Table) {
  const config = isTable(Config) ? Config : {};
  const [program = ''] = textsIn(config.Entrypoint);
  const isProgram = Object.values(COMPONENTS).some(({ binary }) => basename(program) === binary);
  const lost = textsIn(History);
  // Empty for one that has lost its name; one with a digest alone goes with the last tag of its repository.
  const names = [Names, RepoTags, RepoDigests].map(textsIn).find(({ length }) => length > 0) ?? [];
  const hasLabel = hasOwnLabel([...keysOf(Labels), ...keysOf(config.Labels)]);
  // What is in it counts where it has no name.
  const isOwn = hasLabel || isProgram || (lost.length > 0 && lost.every(isOwnImage));
  return { id: plainId(String(Id)), names, bytes: typeof Size === 'number' ? Size : 0, isOwn };
}

/** Docker writes `<none>` where there is nothing. */
function textsIn(value: unknown): string[] {
  const list = Array.isArray(value) ? value : [];
  return list.filter((one) => typeof one === 'string').filter((one) => !one.startsWith('<none>'));
}

function keysOf(labels: unknown): string[] {
  return isTable(labels) ? Object.keys(labels) : [];
}

function plainId(id: string): string {
  return id.replace(/^sha256:/, '');
}

/** The reference in its shortest form: `docker.io/library/x` and `localhost/x` are `x`. */
export function shortName(reference: string): string {
  return reference.replace(/^((index\.)?docker\.io|localhost)\//, '').replace(/^library\//, '');
}

function withoutTag(name: string): string {
  return name.replace(/(:[^:/@]*)?(@.*)?$/, '');
}

/** The tag of a reference; empty where it has none. */
export function tagOf(reference: string): string {
  return /^[^@]*:([^:/@]+)(@.*)?$/.exec(reference)?.[1] ?? '';
}

export function isOwnImage(reference: string): boolean {
  return ownName(reference) !== undefined;
}

/** The name below a namespace of OpenShell, with its tag. */
function ownName(reference: string): string | undefined {
  const name = shortName(reference).replace(LOOPBACK, '');
  const namespace = PRODUCT.imageNamespaces.find((one) => name.startsWith(`${one}/`));
  return namespace && name.slice(namespace.length + 1);
}

/** Whether builds and launches replace it: others, such as those of workloads, are current under any tag. */
export function isReplacedImage(reference: string): boolean {
  return REPLACED.includes(withoutTag(ownName(reference) ?? ''));
}

export function isCostlyImage(reference: string): boolean {
  return COSTLY.some((name) => `${withoutTag(shortName(reference))}/`.startsWith(`${name}/`));
}

function hasOwnLabel(labels: readonly string[]): boolean {
  return labels.some((label) => PRODUCT.labelPrefixes.some((prefix) => label.startsWith(prefix)));
}

export function isOwnVolume(name: string, labels: readonly string[]): boolean {
  return hasOwnLabel(labels) || /^openshell([-_.]|$)/.test(name);
}
